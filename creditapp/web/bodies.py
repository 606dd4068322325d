"""Bodies are read before the app begins, by no more threads than may wait for slow senders.

The server hands a request to a thread when its headers are there; a body that drips in would keep
that thread. One network may keep an eighth of them so, and all networks together three quarters:
reading pages stays possible whatever is being sent.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class BodyDoor:
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
        self._for_one = max(2, threads // 8)
        self._for_all = max(2, threads * 3 // 4)
        self._bytes_max = bytes_max
        self._network_of = network_of
        self._lock = threading.Lock()
        self._reading: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Read the body, then let the app answer; 503 when too many are being read."""
        if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._app(environ, start_response)
        network = self._network_of(environ)
        if not self._enter(network):
            headers = [("Content-Type", "text/plain"), ("Retry-After", "1")]
            start_response("503 Service Unavailable", headers)
            return [b"Too many requests are being sent at once. Try again in a second.\n"]
        try:
            # One byte more than is allowed is enough for the app to refuse it by its size.
            body = environ["wsgi.input"].read(self._length(environ))
        finally:
            self._leave(network)
        environ["wsgi.input"] = io.BytesIO(body)
        return self._app(environ, start_response)

    def _length(self, environ: dict[str, Any]) -> int:
        text = environ.get("CONTENT_LENGTH") or ""
        declared = int(text) if text.isdecimal() and len(text) < 19 else self._bytes_max + 1
        return min(declared, self._bytes_max + 1)

    def _enter(self, network: str) -> bool:
        with self._lock:
            if self._reading[network] >= self._for_one or self._reading.total() >= self._for_all:
                return False
            self._reading[network] += 1
            return True

    def _leave(self, network: str) -> None:
        with self._lock:
            self._reading[network] -= 1
            if not self._reading[network]:
                del self._reading[network]
