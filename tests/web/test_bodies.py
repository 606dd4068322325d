"""Slow senders block few threads; the others stay free."""

from __future__ import annotations

import io
import threading
from typing import Any

from flask.testing import FlaskClient

from creditapp.http.body_limiter import UNREAD, BodyLimiter


class SlowBody(io.RawIOBase):
    """A body that arrives when the test sets its event."""

    def __init__(self, arrives: threading.Event) -> None:
        self.arrives = arrives
        self.begun = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.begun.set()
        assert self.arrives.wait(60)
        return b"x"


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("429 Too Many Requests" if environ.get(UNREAD) else "200 OK", [])
    return [environ["wsgi.input"].read()]


def call(limiter: BodyLimiter, network: str, body: Any, length: str = "1") -> tuple[str, bytes]:
    statuses: list[str] = []
    environ = {"CONTENT_LENGTH": length, "REMOTE_ADDR": network, "wsgi.input": body}
    answer = b"".join(limiter(environ, lambda status, headers: statuses.append(status)))
    return statuses[0], answer


def test_one_network_cannot_block_all_threads_with_slow_bodies() -> None:
    limiter = BodyLimiter(echo, threads=16, bytes_max=100, network_of=lambda e: e["REMOTE_ADDR"])
    arrives = threading.Event()
    slow = [SlowBody(arrives) for _ in range(2)]
    threads = [threading.Thread(target=call, args=(limiter, "10.0.0.1", body)) for body in slow]
    for thread in threads:
        thread.start()
    for body in slow:
        assert body.begun.wait(60)
    status, _ = call(limiter, "10.0.0.1", io.BytesIO(b"y"))
    assert status.startswith("429")
    assert call(limiter, "10.0.0.2", io.BytesIO(b"y")) == ("200 OK", b"y")
    arrives.set()
    for thread in threads:
        thread.join(60)
    assert call(limiter, "10.0.0.1", io.BytesIO(b"y")) == ("200 OK", b"y")


def test_many_requests_of_one_network_wait_for_their_turn() -> None:
    limiter = BodyLimiter(echo, threads=16, bytes_max=100, network_of=lambda e: "the office")
    arrives = threading.Event()
    slow = [SlowBody(arrives) for _ in range(2)]
    responses: list[tuple[str, bytes]] = []
    crowd = [*slow, *(io.BytesIO(b"y") for _ in range(6))]
    threads = [
        threading.Thread(target=lambda body=body: responses.append(call(limiter, "", body)))
        for body in crowd
    ]
    for thread in threads[:2]:
        thread.start()
    for body in slow:
        assert body.begun.wait(60)
    for thread in threads[2:]:
        thread.start()
    arrives.set()
    for thread in threads:
        thread.join(60)
    assert sorted(responses) == [("200 OK", b"x")] * 2 + [("200 OK", b"y")] * 6


def test_a_request_without_a_turn_is_refused_with_retry_after(client: FlaskClient) -> None:
    answer = client.post("/api/quotes", json={}, environ_overrides={UNREAD: True})
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["requestId"]


def test_a_body_is_read_up_to_one_byte_over_the_limit() -> None:
    limiter = BodyLimiter(echo, threads=16, bytes_max=100, network_of=lambda e: "all")
    assert len(call(limiter, "", io.BytesIO(b"z" * 5000), length="5000")[1]) == 101
    assert len(call(limiter, "", io.BytesIO(b"z" * 5000), length="nonsense")[1]) == 101


def test_a_request_without_a_body_never_waits() -> None:
    limiter = BodyLimiter(echo, threads=2, bytes_max=100, network_of=lambda e: "all")
    statuses: list[str] = []
    environ = {"REMOTE_ADDR": "", "wsgi.input": io.BytesIO()}
    assert limiter(environ, lambda status, headers: statuses.append(status)) == [b""]
    assert statuses == ["200 OK"]
