"""Reads request bodies before a thread is taken: with a deadline, a least rate, bounded memory.

A body may take ``BODY_GRACE_SECONDS`` and then has to arrive with its room's least rate. A body
longer than ``BODY_MEMORY_BYTES_MAX``, a file, is written to the disk.
Where there is no room for another body, the oldest unfinished one is dropped: bodies of honest
clients arrive within moments, so the oldest one is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

from creditapp.errors import AppError, RateLimited
from creditapp.rate_limits import BODY_GRACE_SECONDS, BODY_MEMORY_BYTES_MAX, BodyRoom

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class RequestTimeout(AppError):
    """The body did not arrive in time, or was dropped to make room."""

    status, code, title = 408, "request_timeout", "The request took too long to arrive"


class ClientDisconnected(Exception):
    """The client closed the connection, so nobody reads a response."""


@dataclass(eq=False)
class Seat:
    """The place of one body, from its first byte until the request is answered."""

    network: str
    received: int = 0
    dropped: bool = False
    deadline: asyncio.Timeout | None = None
    """Set while the body is being read."""


class BodyReader:
    """All bodies of a room at once. One event loop uses it, so it needs no lock."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._bytes = 0
        self._reading: dict[Seat, None] = {}  # in the order in which they began

    @contextmanager
    def seat(self, network: str) -> Iterator[Seat]:
        """Hold a seat for one body.

        An unfinished body gives way if there is no room; if only finished ones fill the memory,
        ``RateLimited`` is raised.
        """
        if self._bytes >= self._room.bytes and not self._reading:
            raise RateLimited.after(
                1, "Too many requests are being sent at once. Try again in a second."
            )
        of_network = [seat for seat in self._reading if seat.network == network]
        if len(of_network) >= self._room.bodies_per_network:
            self._drop(of_network[0])
        elif len(self._reading) >= self._room.bodies:
            self._drop(next(iter(self._reading)))
        seat = Seat(network)
        self._reading[seat] = None
        try:
            yield seat
        finally:
            self._reading.pop(seat, None)
            self._bytes -= seat.received

    async def read(
        self, seat: Seat, receive: Receive, bytes_max: int
    ) -> SpooledTemporaryFile[bytes]:
        """Return the body, or its first bytes as soon as it is longer than ``bytes_max``.

        Raises ``RequestTimeout``, or ``ClientDisconnected`` before the end of the body.
        """
        body = SpooledTemporaryFile[bytes](max_size=BODY_MEMORY_BYTES_MAX)
        try:
            await self._read_into(body, seat, receive, bytes_max)
        except BaseException:
            body.close()
            raise
        body.seek(0)
        return body

    async def _read_into(
        self, body: SpooledTemporaryFile[bytes], seat: Seat, receive: Receive, bytes_max: int
    ) -> None:
        least_rate = self._room.bytes_per_second_min
        began_at, length = asyncio.get_running_loop().time(), 0
        try:
            async with asyncio.timeout_at(began_at + BODY_GRACE_SECONDS) as seat.deadline:
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnected
                    length += len(message.get("body", b""))
                    self._grow(seat, length)
                    if seat.dropped:
                        raise TimeoutError
                    body.write(message.get("body", b""))
                    if length > bytes_max or not message.get("more_body"):
                        return
                    allowed = BODY_GRACE_SECONDS + length / least_rate
                    seat.deadline.reschedule(began_at + allowed)
        except TimeoutError:
            raise RequestTimeout(
                f"A body has to arrive within {BODY_GRACE_SECONDS} s, a long one with "
                f"{least_rate} bytes a second.",
                headers={"Connection": "close"},
            ) from None
        finally:
            seat.deadline = None
            self._reading.pop(seat, None)

    def _grow(self, seat: Seat, received: int) -> None:
        self._bytes += received - seat.received
        seat.received = received
        while self._bytes > self._room.bytes and self._reading:
            self._drop(next(iter(self._reading)))

    def _drop(self, seat: Seat) -> None:
        """Let the read of a seat end with ``RequestTimeout`` now."""
        self._bytes -= seat.received
        seat.received, seat.dropped = 0, True
        del self._reading[seat]
        if seat.deadline is not None and not seat.deadline.expired():
            seat.deadline.reschedule(asyncio.get_running_loop().time())
