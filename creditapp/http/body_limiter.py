"""Slow-body middleware: reads bodies before the app, in a bounded number of threads.

The server hands a request to a thread when its headers have arrived, and a body that arrives slowly
keeps that thread. One network may read in an eighth of the threads. A complete body is read at
once, so more requests of that network wait for a moment rather than being refused: an office behind
one address sends forms at the same time. Reading and waiting, one network may use half of the
threads and all networks three quarters, so pages stay open whatever is sent.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from creditapp.errors import RateLimited
from creditapp.rate_limits import (
    BODY_TURN_SECONDS,
    body_readers_per_network,
    body_requests,
    body_requests_per_network,
)

UNREAD = "creditapp.unread"
"""The WSGI environment key of a request whose body was not read; the app must refuse it."""

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class BodyLimiter:
    """WSGI middleware; ``network_of`` returns the network that a request counts for."""

    def __init__(
        self,
        app: Wsgi,
        *,
        threads: int,
        bytes_max: int,
        network_of: Callable[[dict[str, Any]], str],
    ) -> None:
        self._app = app
        self._readers_per_network = body_readers_per_network(threads)
        self._requests_per_network = body_requests_per_network(threads)
        self._requests_max = body_requests(threads)
        self._bytes_max = bytes_max
        self._network_of = network_of
        self._turn = threading.Condition()
        self._active: Counter[str] = Counter()
        self._reading: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Read the body and call the app; without a free turn, mark the request as ``UNREAD``."""
        if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._app(environ, start_response)
        network = self._network_of(environ)
        if self._enter(network):
            try:
                # One byte over the limit is enough for the app to refuse the body.
                body = environ["wsgi.input"].read(self._length(environ))
            finally:
                self._leave(network)
        else:
            environ[UNREAD] = True
            body = b""
        environ["wsgi.input"] = io.BytesIO(body)
        return self._app(environ, start_response)

    def _length(self, environ: dict[str, Any]) -> int:
        text = environ.get("CONTENT_LENGTH") or ""
        declared = int(text) if text.isdecimal() and len(text) < 19 else self._bytes_max + 1
        return min(declared, self._bytes_max + 1)

    def _enter(self, network: str) -> bool:
        with self._turn:
            full = self._active.total() >= self._requests_max
            if full or self._active[network] >= self._requests_per_network:
                return False
            self._active[network] += 1
            if not self._turn.wait_for(
                lambda: self._reading[network] < self._readers_per_network, BODY_TURN_SECONDS
            ):
                self._decrement(self._active, network)
                return False
            self._reading[network] += 1
            return True

    def _leave(self, network: str) -> None:
        with self._turn:
            self._decrement(self._reading, network)
            self._decrement(self._active, network)
            self._turn.notify_all()

    @staticmethod
    def _decrement(counter: Counter[str], network: str) -> None:
        counter[network] -= 1
        if not counter[network]:
            del counter[network]


def refuse_unread(environ: Mapping[str, Any]) -> None:
    """Raise ``RateLimited`` for a request whose body was not read."""
    if environ.get(UNREAD):
        raise RateLimited(
            "Too many requests are being sent from here at once. Try again in a second.",
            headers={"Retry-After": "1", "RateLimit-Remaining": "0", "RateLimit-Reset": "1"},
        )
