"""A connection to a real server that breaks: each step of a script spoils one answer.

It imports nothing of the code that it tests.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

PROBLEM = '{"status": %d, "code": "%s", "title": "Later", "detail": "Later.", "error": "Later."}'


@dataclass
class Step:
    """How one answer is spoilt. ``whole`` passes it on as it is."""

    kind: str = "whole"
    """whole, lost (served, and never answered), refused, truncated or half (of a stream)."""
    status: int = 503
    code: str = "provider_unavailable"
    headers: dict[str, str] = field(default_factory=dict)


LOST = Step("lost")
TRUNCATED = Step("truncated")
HALF = Step("half")


def refused(status: int, code: str, **headers: str) -> Step:
    """Return a step that answers an error in place of the server."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Step("refused", status, code, named)


@dataclass
class BrokenConnection:
    """A server before the real one: its address, its script, and what came in."""

    url: str = ""
    script: list[Step] = field(default_factory=list)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Idempotency-Key of each request."""

    @property
    def keys(self) -> list[str | None]:
        """The Idempotency-Key of each request."""
        return [key for _, _, key in self.seen]


class _Server(ThreadingHTTPServer):
    """Passes requests on to ``target``, and spoils the answers as the script says."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.connection = BrokenConnection(f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *_arguments: object) -> None:
        return

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, connection = self.path.partition("?")[0], self.server.connection
        connection.seen.append((self.command, path, self.headers.get("Idempotency-Key")))
        step = connection.script.pop(0) if connection.script else Step()
        if step.kind == "refused":
            text = (PROBLEM % (step.status, step.code)).encode()
            headers = {"Content-Type": "application/problem+json", **step.headers}
            self._send(step.status, headers, text, len(text))
            return
        self._pass_on(step, body)
        if step.kind != "whole":
            self.close_connection = True

    def _pass_on(self, step: Step, body: bytes) -> None:
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("host", "content-length", "connection")
        }
        answer = httpx2.request(
            self.command, self.server.target + self.path, headers=headers, content=body, timeout=60
        )
        if step.kind == "lost":
            return
        content = answer.content
        sent = {"Content-Type": answer.headers.get("content-type", "text/plain")}
        shown = len(content) if step.kind == "whole" else len(content) // 2
        # Half of a stream has no length that would show it.
        length = None if step.kind == "half" else len(content)
        self._send(answer.status_code, sent, content[:shown], length)

    def _send(
        self, status: int, headers: dict[str, str], content: bytes, length: int | None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def broken_connection(target: str) -> Iterator[BrokenConnection]:
    """Listen before a server; every answer is whole but for what the script says."""
    server = _Server(target)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.connection
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
