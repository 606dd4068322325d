"""The app behind its ASGI server: environment, streams, files, and rooms of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request, send_file

from creditapp.config import Settings
from creditapp.http import asgi
from creditapp.http.asgi import AsgiApp, environ_of
from creditapp.http.policies import policy
from creditapp.rate_limits import BodyRoom
from creditapp.services import get
from tests.web.steps import run_async

Message = dict[str, Any]


def scope(path: str = "/", method: str = "GET", *headers: tuple[str, str]) -> dict[str, Any]:
    """Return the scope of a request, as Granian passes it."""
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "server": ("127.0.0.1", 8000),
        "client": ("203.0.113.7", 4711),
        "headers": [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers],
    }


class Connection:
    """One request and what came back; the client goes after ``leaves_after`` body messages."""

    def __init__(self, body: bytes = b"", leaves_after: int | None = None) -> None:
        self.body = body
        self.sent: list[Message] = []
        self.leaves_after = leaves_after
        self.read = False
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        if not self.read:
            self.read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self.leaves_after is not None and len(self.bodies) >= self.leaves_after:
            self.gone.set()

    @property
    def bodies(self) -> list[Message]:
        return [each for each in self.sent if each["type"] == "http.response.body"]


def call(app: Flask, asked: dict[str, Any], connection: Connection) -> None:
    """Send one request through the ASGI app."""
    with app.app_context():
        served = AsgiApp(app, get(Settings))
    run_async(asyncio.wait_for(served(asked, connection.receive, connection.send), 30))


def test_repeated_headers_are_joined_and_names_with_an_underscore_are_left_out() -> None:
    environ = environ_of(
        scope(
            "/caf%C3%A9",
            "GET",
            ("x-forwarded-for", "192.0.2.1"),
            ("x_forwarded_for", "198.51.100.9"),
            ("x-forwarded-for", "10.0.0.2"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("content-type", "text/plain"),
        )
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1, 10.0.0.2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["REMOTE_ADDR"] == "203.0.113.7"
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/café"


def test_a_page_is_sent_whole(app: Flask) -> None:
    connection = Connection()
    call(app, scope("/healthz"), connection)
    start, body = connection.sent
    assert start["status"] == 200
    assert (b"content-type", b"application/json") in start["headers"]
    assert body == {"type": "http.response.body", "body": b'{"status":"ok"}'}


def test_a_body_without_a_length_arrives_whole(own_app: Flask) -> None:
    own_app.add_url_rule(
        "/echo", "echo", policy("signature")(lambda: request.get_data()), methods=["POST"]
    )
    connection = Connection(b"x" * 1000)
    call(own_app, scope("/echo", "POST", ("transfer-encoding", "chunked")), connection)
    assert connection.sent[0]["status"] == 200
    assert connection.bodies[0]["body"] == b"x" * 1000


def test_a_stream_is_sent_part_by_part_and_ends_when_the_client_goes(own_app: Flask) -> None:
    closed = threading.Event()

    def parts() -> Iterator[str]:
        try:
            for number in range(100_000):
                yield f"{number}\n"
        finally:
            closed.set()

    own_app.add_url_rule("/ticks", "ticks", policy("public")(lambda: Response(parts())))
    connection = Connection(leaves_after=3)
    call(own_app, scope("/ticks"), connection)
    assert [each["body"] for each in connection.bodies[:3]] == [b"0\n", b"1\n", b"2\n"]
    assert len(connection.bodies) < 1000
    assert closed.wait(20)


def test_a_whole_stream_has_an_end(own_app: Flask) -> None:
    own_app.add_url_rule("/two", "two", policy("public")(lambda: Response(iter(["a", "b"]))))
    connection = Connection()
    call(own_app, scope("/two"), connection)
    assert [each["body"] for each in connection.bodies] == [b"a", b"b", b""]
    assert not connection.bodies[-1].get("more_body")


def test_a_client_that_reads_nothing_does_not_keep_its_thread(
    own_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "STALL_SECONDS", 0.05)

    class Stalled(Connection):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message["type"] == "http.response.body":
                await asyncio.sleep(600)

    own_app.add_url_rule("/two", "two", policy("public")(lambda: Response(iter(["a", "b"]))))
    connection = Stalled()
    began_at = time.monotonic()
    call(own_app, scope("/two"), connection)
    assert time.monotonic() - began_at < 20
    assert [each["body"] for each in connection.bodies] == [b"a"]


def test_the_server_sends_a_file_itself(own_app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(b"an image")
    own_app.add_url_rule("/image", "image", policy("public")(lambda: send_file(file)))
    connection = Connection()
    call(own_app, scope("/image"), connection)
    assert connection.sent[1:] == [{"type": "http.response.pathsend", "path": str(file)}]
    part = Connection()
    call(own_app, scope("/image", "GET", ("range", "bytes=3-7")), part)
    assert (part.sent[0]["status"], part.bodies[0]["body"]) == (206, b"image")
    head = Connection()
    call(own_app, scope("/image", "HEAD"), head)
    assert head.bodies[0]["body"] == b""


def test_bodies_of_uploads_have_room_of_their_own(
    own_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "BODIES", BodyRoom(bodies=1, bodies_per_network=1, bytes=0))
    headers = (("content-length", "2"), ("content-type", "application/json"))
    statuses = []
    for path in ("/api/quotes", "/api/uploads"):
        connection = Connection(b"{}")
        call(own_app, scope(path, "POST", *headers), connection)
        statuses.append(connection.sent[0]["status"])
    assert statuses == [429, 401]


def test_a_webhook_has_threads_of_its_own(own_app: Flask) -> None:
    busy, released = threading.Barrier(33), threading.Event()

    def wait() -> str:
        busy.wait(30)
        released.wait(30)
        return "waited"

    own_app.add_url_rule("/wait", "wait", policy("public")(wait))
    with own_app.app_context():
        served = AsgiApp(own_app, get(Settings))

    async def flood() -> list[int]:
        waiting = [Connection() for _ in range(32)]
        tasks = [
            asyncio.create_task(served(scope("/wait"), each.receive, each.send)) for each in waiting
        ]
        await asyncio.to_thread(busy.wait, 30)  # every other thread is taken
        event = Connection(b"{}")
        headers = (("content-length", "2"), ("content-type", "application/json"))
        asked = scope("/api/webhooks/stripe", "POST", *headers)
        await asyncio.wait_for(served(asked, event.receive, event.send), 30)
        released.set()
        await asyncio.gather(*tasks)
        return [event.sent[0]["status"], *(each.sent[0]["status"] for each in waiting)]

    assert run_async(flood()) == [400] + [200] * 32
