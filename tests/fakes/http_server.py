"""An HTTP server on loopback that listens inside a ``with``; the base of the fakes.

Imports nothing of the app.
"""

from __future__ import annotations

import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class FakeServer:
    """The server; as a context manager it listens inside the ``with``."""

    def __init__(self, handler: type[FakeHandler], port: int = 0) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    fake: Any
    """The subclass of ``FakeServer``."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a client that went away is part of many tests."""


class FakeHandler(BaseHTTPRequestHandler):
    """Answers one connection; ``server.fake`` is the server that a test sees."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Answer the request, whatever its method."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def reset(self) -> None:
        """Reset the connection, so that the client gets no more of the answer."""
        # Linger 0 makes close() send RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.wfile = open("/dev/null", "wb")  # noqa: SIM115  # the base class still flushes it
