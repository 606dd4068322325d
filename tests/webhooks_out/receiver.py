"""A receiver of webhooks on a real socket, which verifies each with the library of the standard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

Json = dict[str, Any]


class Receiver:
    """Keeps what it received; ``status`` and ``headers`` are its answer, after ``before``."""

    def __init__(self) -> None:
        self.secret = ""
        self.status = 204
        self.headers: dict[str, str] = {}
        self.before: Callable[[], object] = lambda: None
        self.received: list[Json] = []
        self.ids: list[str] = []
        self.bodies: list[str] = []
        self.signatures: list[str] = []
        self.forged = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.take(dict(self.headers), body)
                receiver.before()
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks?from=creditapp"

    def take(self, headers: dict[str, str], body: str) -> None:
        """Verify a webhook and keep it."""
        try:
            event = Webhook(self.secret).verify(body, headers) if self.secret else {}
        except WebhookVerificationError:
            self.forged += 1
            return
        self.ids.append(headers["webhook-id"])
        self.signatures.append(headers["webhook-signature"])
        self.bodies.append(body)
        self.received.append(event)

    def types(self) -> list[str]:
        """Return the types of what came, in its order."""
        return [event["type"] for event in self.received]

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until so many came; fail after a while."""
        end = time.monotonic() + seconds
        while len(self.received) < count:
            assert time.monotonic() < end, self.types()
            time.sleep(0.02)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
