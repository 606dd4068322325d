"""Threaded HTTP server for ``./run sandbox``, tests and the app's built-in sandbox."""

from __future__ import annotations

import threading

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class Server:
    """A threaded server that runs in its own thread."""

    def __init__(self, server: BaseWSGIServer) -> None:
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(0.05,), name="sandbox-server", daemon=True
        )
        self.port = int(server.server_port)
        self.url = f"http://{server.host}:{self.port}"

    def start(self) -> Server:
        """Serve in a thread and return at once."""
        self._thread.start()
        return self

    def wait(self) -> None:
        """Block until the server is stopped."""
        self._thread.join()

    def stop(self) -> None:
        """Stop serving and close the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _QuietHandler(WSGIRequestHandler):
    """Request handler without an access log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the overview page shows what happened."""


def serve(sandbox: Flask, host: str, port: int) -> Server:
    """Serve a sandbox on ``host`` and ``port`` (0: a free one, see ``.port``) in a thread."""
    server = make_server(host, port, sandbox, threaded=True, request_handler=_QuietHandler)
    return Server(server).start()
