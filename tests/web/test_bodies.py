"""Bodies are read with a deadline, a least rate and bounded memory, before a thread is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from creditapp.errors import RateLimited
from creditapp.http import body_reader
from creditapp.http.body_reader import BodyReader, ClientDisconnected, RequestTimeout
from creditapp.http.request_checks import REFUSAL
from creditapp.rate_limits import BODY_MEMORY_BYTES_MAX, BodyRoom
from tests.app_factory import Person
from tests.web.steps import run_async

ROOM = BodyRoom(bodies=4, bodies_per_network=2, bytes=100, bytes_per_second_min=1000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline: a body has 0.05 s, then has to arrive with 1,000 bytes a second."""
    monkeypatch.setattr(body_reader, "BODY_GRACE_SECONDS", 0.05)


class Client:
    """A client of an ASGI server that sends parts, each after some seconds, and then stops."""

    def __init__(self, *parts: tuple[float, bytes], complete: bool = True) -> None:
        self.parts = list(parts)
        self.complete = complete
        self.finish = asyncio.Event()
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        """Return the next part; wait for ever where nothing more is sent."""
        self.asked += 1
        if not self.parts:
            await self.finish.wait()
            return {"type": "http.request", "body": b"", "more_body": False}
        seconds, body = self.parts.pop(0)
        await asyncio.sleep(seconds)
        more = bool(self.parts) or not self.complete
        return {"type": "http.request", "body": body, "more_body": more}


async def read(
    reader: BodyReader, client: Client, network: str = "one", bytes_max: int = 50
) -> bytes | str:
    """Return the body, or the code of the refusal."""
    try:
        with reader.seat(network) as seat:
            return (await reader.read(seat, client.receive, bytes_max)).read()
    except (RequestTimeout, RateLimited) as refusal:
        return refusal.code


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test, bounded."""
    run_async(asyncio.wait_for(test(), 20))


def test_a_body_that_stops_arriving_is_refused() -> None:
    async def test() -> None:
        reader = BodyReader(ROOM)
        assert await read(reader, Client((0, b"a"), complete=False)) == "request_timeout"
        assert await read(reader, Client((0, b"whole"))) == b"whole"

    run(test)


def test_a_body_that_drips_is_refused_although_it_never_stops() -> None:
    async def test() -> None:
        drips = [(0.01, b"a")] * 100
        client = Client(*drips)
        assert await read(BodyReader(ROOM), client, bytes_max=500) == "request_timeout"
        assert 2 <= client.asked < 50

    run(test)


def test_a_long_body_has_the_time_that_its_length_needs() -> None:
    async def test() -> None:
        parts = [(0.02, b"a" * 40)] * 10  # 2,000 bytes a second, for four times the deadline
        body = await read(BodyReader(BodyRoom(4, 4, 10_000, 1000)), Client(*parts), bytes_max=500)
        assert body == b"a" * 400

    run(test)


def test_a_body_without_a_length_is_read_to_its_limit() -> None:
    async def test() -> None:
        client = Client((0, b"a" * 30), (0, b"b" * 30), (0, b"c" * 30), complete=False)
        assert await read(BodyReader(ROOM), client) == b"a" * 30 + b"b" * 30
        assert client.asked == 2

    run(test)


def test_a_long_body_is_on_the_disk_and_not_in_memory() -> None:
    async def test() -> None:
        reader = BodyReader(BodyRoom(4, 4, 8 * BODY_MEMORY_BYTES_MAX))
        client = Client((0, bytes(BODY_MEMORY_BYTES_MAX)), (0, b"end"))
        with reader.seat("one") as seat:
            body = await reader.read(seat, client.receive, 2 * BODY_MEMORY_BYTES_MAX)
        assert body._rolled  # type: ignore[attr-defined]  # it has a file of its own
        assert body.read()[-3:] == b"end"

    run(test)


def test_a_client_that_goes_is_no_error_of_the_site() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def test() -> None:
        reader = BodyReader(ROOM)
        with pytest.raises(ClientDisconnected), reader.seat("one") as seat:
            await reader.read(seat, gone, 50)

    run(test)


def test_the_oldest_unfinished_body_of_a_network_gives_way_to_its_next() -> None:
    async def test() -> None:
        reader = BodyReader(ROOM)
        slow = [Client(complete=False) for _ in range(2)]
        other = Client(complete=False)
        reads = [asyncio.create_task(read(reader, client)) for client in slow]
        reads.append(asyncio.create_task(read(reader, other, "two")))
        await asyncio.sleep(0)
        assert await read(reader, Client((0, b"quick"))) == b"quick"
        assert await reads[0] == "request_timeout"
        assert not reads[1].done()
        slow[1].finish.set()
        other.finish.set()
        assert await reads[1] == await reads[2] == b""

    run(test)


def test_many_networks_take_no_room_from_another() -> None:
    async def test() -> None:
        reader = BodyReader(ROOM)
        slow = [
            asyncio.create_task(read(reader, Client(complete=False), f"network {number}"))
            for number in range(4)
        ]
        await asyncio.sleep(0)
        for number in range(20):
            assert await read(reader, Client((0, b"quick")), f"other {number}") == b"quick"
        assert {await each for each in slow} == {"request_timeout"}

    run(test)


def test_unfinished_bodies_give_way_when_memory_is_full() -> None:
    async def test() -> None:
        reader = BodyReader(ROOM)
        hoard = [
            asyncio.create_task(read(reader, Client((0, b"a" * 45), complete=False), str(number)))
            for number in range(2)
        ]
        await asyncio.sleep(0.01)
        assert await read(reader, Client((0, b"b" * 40)), "other") == b"b" * 40
        assert await hoard[0] == "request_timeout"
        await hoard[1]

    run(test)


def test_finished_bodies_that_fill_the_memory_are_kept_and_the_next_is_refused() -> None:
    async def test() -> None:
        reader = BodyReader(ROOM)
        with reader.seat("one") as first, reader.seat("two") as second:
            for seat in (first, second):
                await reader.read(seat, Client((0, b"a" * 50)).receive, 50)
            assert await read(reader, Client((0, b"b")), "other") == "rate_limited"
        assert await read(reader, Client((0, b"b")), "other") == b"b"

    run(test)


def test_the_app_answers_for_a_body_that_was_not_read(client: FlaskClient) -> None:
    late = RequestTimeout(headers={"Connection": "close"})
    answer = client.post("/api/quotes", json={}, environ_overrides={REFUSAL: late})
    assert (answer.status_code, answer.json["code"]) == (408, "request_timeout")
    assert answer.headers["Connection"] == "close"
    assert answer.json["requestId"]


@pytest.mark.parametrize(
    ("path", "content_type", "kilobytes"),
    [
        ("/auth/login", "application/x-www-form-urlencoded", 256),
        ("/auth/login", "multipart/form-data; boundary=x", 256),
        ("/api/quotes", "application/json", 1024),
        ("/api/webhooks/stripe", "application/json", 512),
        ("/api/stripe/webhook", "application/json", 512),
        ("/nothing-here", "application/json", 1024),
    ],
)
def test_a_body_is_refused_by_its_declared_length(
    client: FlaskClient, path: str, content_type: str, kilobytes: int
) -> None:
    def post(length: int) -> int:
        return client.post(
            path,
            data=b"",
            content_type=content_type,
            headers={"Accept": "application/json"},
            environ_overrides={"CONTENT_LENGTH": str(length)},
        ).status_code

    assert post(kilobytes * 1024 + 1) == 413
    assert post(20 * 1024 * 1024) == 413
    assert post(0) != 413


def test_a_form_of_many_fields_is_refused_before_it_is_rendered(client: FlaskClient) -> None:
    many = "&".join(f"field{number}=" for number in range(51))
    for answer in (
        client.post("/studio", data=many, content_type="application/x-www-form-urlencoded"),
        client.post(
            "/studio", data={f"field{n}": "" for n in range(51)}, content_type="multipart/form-data"
        ),
    ):
        assert answer.status_code == 413
        assert 'data-code="payload_too_large"' in answer.text
        assert "field7" not in answer.text
        assert len(answer.data) < 20_000
    assert client.get(f"/?{many}").status_code == 400


def test_a_refused_form_gives_back_only_the_fields_of_our_forms(guest: Person) -> None:
    sent = {"csrf_token": "stale", "prompt": "a kept fox", "made_up": "never shown"}
    answer = guest.browser.post("/generations", data=sent)
    assert answer.status_code == 403
    assert "a kept fox" in answer.text
    assert "made_up" not in answer.text
    assert "never shown" not in answer.text


NAMELESS = (
    b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n"
    b"--x\r\nContent-Disposition: form-data; name=prompt\r\n\r\na quay\r\n--x--\r\n"
)
NAMELESS_FILE = NAMELESS.replace(b"form-data\r\n", b"form-data; filename=a.png\r\n")


@pytest.mark.parametrize("body", [NAMELESS, NAMELESS_FILE], ids=["field", "file"])
def test_a_part_of_a_form_without_a_name_is_refused(alice: Person, body: bytes) -> None:
    """The library that parses forms calls it None, which is no text where names are read."""
    key = alice.call("POST", "/api/keys", {"name": "k", "scopes": ["generate"]}).json["key"]
    form = {"data": body, "content_type": "multipart/form-data; boundary=x"}
    for path in ("/api/uploads", "/v1/images/edits"):
        program = alice.app.test_client()
        answer = program.post(path, headers={"Authorization": f"Bearer {key}"}, **form)
        assert answer.status_code == 400, path
        assert "no name" in answer.text
    for path in ("/studio", "/auth/login", "/api/uploads"):
        answer = alice.browser.post(path, headers={"Sec-Fetch-Site": "same-origin"}, **form)
        assert answer.status_code == 400, path
