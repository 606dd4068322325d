"""Bodies are read before the app begins, by no more threads than may wait for slow senders.

The server hands a request to a thread when its headers are there; a body that drips in would keep
that thread. One network may keep an eighth of them so. A body that is there already is read at
once, so others of that network wait a moment for their turn rather than be refused: an office
behind one address presses buttons at the same time. Reading and waiting, one network keeps half of
the threads and all together three quarters: pages stay open whatever is being sent.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from creditapp import rate_limits
from creditapp.errors import RateLimited

UNREAD = "creditapp.unread"
"""The key in the environment of a request whose body found no turn; the app must refuse it."""

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class BodyLimiter:
    """A WSGI app in front of another; ``network_of`` says whom a request counts for."""

    def __init__(
        self,
        app: Wsgi,
        *,
        threads: int,
        bytes_max: int,
        network_of: Callable[[dict[str, Any]], str],
    ) -> None:
        self._app = app
        self._readers_of_one = rate_limits.body_readers_per_network(threads)
        self._inside_of_one = rate_limits.body_requests_per_network(threads)
        self._inside_of_all = rate_limits.body_requests(threads)
        self._bytes_max = bytes_max
        self._network_of = network_of
        self._turn = threading.Condition()
        self._inside: Counter[str] = Counter()
        self._reading: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Read the body, then let the app answer; without a turn, let it refuse (``UNREAD``)."""
        if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._app(environ, start_response)
        network = self._network_of(environ)
        if self._enter(network):
            try:
                # One byte more than is allowed is enough for the app to refuse it by its size.
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
            full = self._inside.total() >= self._inside_of_all
            if full or self._inside[network] >= self._inside_of_one:
                return False
            self._inside[network] += 1
            if not self._turn.wait_for(
                lambda: self._reading[network] < self._readers_of_one, rate_limits.BODY_TURN_SECONDS
            ):
                self._count_out(self._inside, network)
                return False
            self._reading[network] += 1
            return True

    def _leave(self, network: str) -> None:
        with self._turn:
            self._count_out(self._reading, network)
            self._count_out(self._inside, network)
            self._turn.notify_all()

    @staticmethod
    def _count_out(counter: Counter[str], network: str) -> None:
        counter[network] -= 1
        if not counter[network]:
            del counter[network]


def refuse_unread(environ: Mapping[str, Any]) -> None:
    """Raise ``RateLimited`` for a request whose body found no turn to be read."""
    if environ.get(UNREAD):
        raise RateLimited(
            "Too many requests are being sent from here at once. Try again in a second.",
            headers={"Retry-After": "1", "RateLimit-Remaining": "0", "RateLimit-Reset": "1"},
        )
