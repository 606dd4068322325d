"""How many requests work at once, and which do not count."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator

import pytest
from flask import Flask, Response, request

from creditapp.config import Settings
from creditapp.http import asgi, gate
from creditapp.http.asgi import AsgiApp
from creditapp.http.gate import Gate, leave_gate
from creditapp.http.policies import policy
from creditapp.services import get
from tests.web.steps import run_async
from tests.web.test_asgi import Connection, scope


@pytest.fixture
def served(own_app: Flask, monkeypatch: pytest.MonkeyPatch) -> AsgiApp:
    """The app with one place for a working request, and routes that take their time."""
    monkeypatch.setattr(asgi, "working_requests", lambda threads: 1)
    monkeypatch.setattr(gate, "WORKING_SECONDS", 30.0)
    ended = threading.Event()

    def work() -> str:
        assert ended.wait(10), "the other request could not work"
        return "worked"

    def wait() -> str:
        leave_gate()
        return work()

    def stream() -> Response:
        def parts() -> Iterator[str]:
            yield "first"
            yield work()

        return Response(parts())

    def end() -> str:
        ended.set()
        return "ended"

    for view in (work, wait, stream, end):
        own_app.add_url_rule(f"/{view.__name__}", view.__name__, policy("public")(view))
    with own_app.app_context():
        return AsgiApp(own_app, get(Settings))


async def call_in_turn(served: AsgiApp, *paths: str) -> list[Connection]:
    """Begin the calls one after the other; return their connections when all have ended."""
    connections = [Connection() for _ in paths]
    tasks = []
    for path, connection in zip(paths, connections, strict=True):
        call = served(scope(path), connection.receive, connection.send)
        tasks.append(asyncio.ensure_future(call))
        await asyncio.sleep(0.2)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    return connections


@pytest.mark.parametrize("path", ["/wait", "/stream"])
def test_a_request_that_waits_or_streams_lets_another_work(served: AsgiApp, path: str) -> None:
    first, second = run_async(call_in_turn(served, path, "/end"))
    assert b"".join(each["body"] for each in first.bodies).endswith(b"worked")
    assert second.bodies[0]["body"] == b"ended"


def test_one_that_works_for_long_lets_another_work(
    served: AsgiApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "WORKING_SECONDS", 0.3)
    first, second = run_async(call_in_turn(served, "/work", "/end"))
    assert first.bodies[0]["body"] == b"worked"
    assert second.bodies[0]["body"] == b"ended"


def test_requests_get_a_place_in_their_order_and_give_it_back_once() -> None:
    async def enter() -> list[int]:
        places, entered = Gate(2), list[int]()

        async def work(number: int) -> None:
            async with places.entered() as leave:
                entered.append(number)
                await asyncio.sleep(0.05)
                leave()  # early, and a second time at the end of the block

        tasks: list[Awaitable[None]] = [asyncio.ensure_future(work(n)) for n in range(6)]
        await asyncio.sleep(0.02)
        assert entered == [0, 1]
        await asyncio.gather(*tasks)
        async with places.entered(), places.entered():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(places.entered().__aenter__(), 0.05)
        return entered

    assert run_async(enter()) == [0, 1, 2, 3, 4, 5]


def test_outside_of_the_server_there_is_no_place_to_leave(app: Flask) -> None:
    with app.test_request_context("/"):
        before = dict(request.environ)
        leave_gate()
        assert request.environ == before
