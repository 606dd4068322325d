"""Gate: so many requests of a process work at once; those that wait for something do not count.

More working threads than that only take the interpreter's lock from one another (decision 12).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from flask import request

from creditapp.rate_limits import WORKING_SECONDS

LEAVE: Final = "creditapp.leave_gate"
"""Key of the WSGI environment: a function that any thread may call."""


def leave_gate() -> None:
    """Count the current request as one that waits, from now to its end."""
    leave: Callable[[], object] | None = request.environ.get(LEAVE)
    if leave is not None:
        leave()


class Gate:
    """Places of working requests, given in the order in which they were asked for."""

    def __init__(self, places: int) -> None:
        self._free = asyncio.Semaphore(places)

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[Callable[[], None]]:
        """Wait for a place; yield the function that leaves it early, for the event loop alone.

        A request that takes longer than ``WORKING_SECONDS`` waits for something, whatever it is,
        and leaves its place.
        """
        await self._free.acquire()
        has_place = True

        def leave() -> None:
            nonlocal has_place
            if has_place:
                has_place = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(WORKING_SECONDS, leave)
        try:
            yield leave
        finally:
            timer.cancel()
            leave()
