"""``/api/generate-*`` and ``/api/generations``: responses, waiting, replays, errors."""

from __future__ import annotations

import threading
import time

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp.api import waiting
from creditapp.api.waiting import WaitingSlots
from creditapp.db import db
from creditapp.generation.providers import (
    GenerationFailed,
    GenerationTimeout,
    PromptRejected,
    ProviderUnavailable,
)
from creditapp.services import get
from tests.api.contract import Program
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio, remaining, wallet

IMAGE = "/api/generate-image"
BODY = {"prompt": "a quay", "model": "nano-banana"}


def work_soon(studio: Studio, seconds: float = 0.3) -> threading.Thread:
    """Run the worker while the caller waits."""

    def work() -> None:
        while not any(name == "generate" for name, _ in studio.queue.waiting):
            time.sleep(0.01)
        time.sleep(seconds)
        studio.queue.run()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_finished_generation_has_every_documented_member(api: Program, studio: Studio) -> None:
    worker = work_soon(studio)
    answer = api.call("POST", IMAGE, {**BODY, "n": 2, "size": "1536x1024"})
    worker.join()
    assert answer.status_code == 200
    made = answer.json
    assert made["status"] == "succeeded"
    assert (made["operation"], made["model"]) == ("text-to-image", "nano-banana")
    assert len(made["assets"]) == 2
    for asset in made["assets"]:
        assert asset.keys() == {"url", "mimeType", "width", "height", "seconds"}
        assert asset["mimeType"] == "image/png"
        assert (asset["width"], asset["height"], asset["seconds"]) == (1536, 1024, None)
        assert asset["url"].startswith("/media/")
    assert made["imageUrl"] == made["assets"][0]["url"]
    assert made["credits"] == {"used": 1, "remaining": 49}
    assert made["guestInfo"] is None
    assert api.get(f"/api/generations/{made['id']}") == made


def test_a_guests_response_has_the_images_left(guest_api: Program, studio: Studio) -> None:
    worker = work_soon(studio)
    answer = guest_api.call("POST", IMAGE, BODY)
    worker.join()
    assert answer.status_code == 200
    assert answer.json["credits"] is None
    info = answer.json["guestInfo"]
    assert (info["limit"], info["remaining"], info["signupCredits"]) == (3, 2, 50)
    assert info["resetAt"].endswith("Z")


def test_half_a_credit_is_written_plainly(api: Program, studio: Studio) -> None:
    worker = work_soon(studio, 0)
    answer = api.call("POST", IMAGE, BODY)
    worker.join()
    assert '"credits":{"used":0.5,"remaining":49.5}' in answer.text


def test_respond_async_returns_at_once_with_a_location(api: Program, studio: Studio) -> None:
    answer = api.call("POST", IMAGE, BODY, Prefer="respond-async")
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert answer.headers["Location"] == f"/api/generations/{answer.json['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["assets"] == []
    assert answer.json["credits"] == {"used": 0, "remaining": 49.5}
    studio.queue.run()
    assert api.get(answer.headers["Location"])["status"] == "succeeded"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("", 30),
        ("wait=5", 5),
        ("wait=0", 0),
        ('wait="7"', 7),
        ("WAIT = 3", 3),
        ("handling=lenient, wait=4", 4),
        ("wait=99999", 30),
        ("wait=-1", 30),
        ("wait=soon", 30),
        ("wait=999999999999999999999", 30),
        ("respond-async", 0),
        ("respond-async, wait=10", 0),
        ("Respond-Async", 0),
    ],
)
def test_prefer_sets_the_wait(app: Flask, prefer: str, seconds: int) -> None:
    with app.test_request_context(headers={"Prefer": prefer}):
        assert waiting.preferred_seconds() == seconds


def test_a_wait_that_ends_too_early_returns_202(api: Program, studio: Studio) -> None:
    began_at = time.monotonic()
    answer = api.call("POST", IMAGE, BODY, Prefer="wait=1")
    assert answer.status_code == 202
    assert 0.5 < time.monotonic() - began_at < 5


def test_waits_are_bounded_in_number(app: Flask, api: Program, studio: Studio) -> None:
    with app.app_context():
        slots = get(WaitingSlots).semaphore
    taken = 0
    while slots.acquire(blocking=False):
        taken += 1
    try:
        assert taken == 8, "a quarter of the threads"
        began_at = time.monotonic()
        answer = api.call("POST", IMAGE, BODY)
        assert answer.status_code == 202
        assert time.monotonic() - began_at < 5
    finally:
        for _ in range(taken):
            slots.release()
    worker = work_soon(studio)
    assert api.call("POST", IMAGE, BODY).status_code == 200
    worker.join()
    assert sum(slots.acquire(blocking=False) for _ in range(9)) == 8, (
        "every wait gave its seat back"
    )
    for _ in range(8):
        slots.release()


def test_one_member_waits_in_half_of_the_slots(app: Flask, api: Program, studio: Studio) -> None:
    """The other half stays free for routes that refuse without one, however many one calls."""
    with app.app_context():
        slots = get(WaitingSlots)
    answers = []

    def order(_number: int) -> None:
        answers.append(api.call("POST", IMAGE, BODY, Prefer="wait=4").status_code)

    waiters = [threading.Thread(target=order, args=(number,)) for number in range(8)]
    for waiter in waiters:
        waiter.start()
    taken, deadline = 0, time.monotonic() + 3.5
    while time.monotonic() < deadline and len(answers) < 4:
        time.sleep(0.02)
    while slots.semaphore.acquire(blocking=False):
        taken += 1
    for _ in range(taken):
        slots.semaphore.release()
    for waiter in waiters:
        waiter.join()
    assert taken == 4
    assert answers == [202] * 8


def test_a_wait_holds_no_connection(app: Flask, api: Program, studio: Studio) -> None:
    with app.app_context():
        pool = db.engine.pool
    waiter = threading.Thread(target=lambda: api.call("POST", IMAGE, BODY, Prefer="wait=2"))
    waiter.start()
    while not studio.queue.waiting:
        time.sleep(0.01)
    time.sleep(0.1)
    looks = []
    for _ in range(60):
        looks.append(pool.checkedout())  # type: ignore[attr-defined]
        time.sleep(0.02)
    waiter.join()
    assert looks.count(0) > 45, looks


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GenerationFailed("It went wrong."), 502, "generation_failed"),
        (ProviderUnavailable("Nobody there."), 503, "provider_unavailable"),
        (GenerationTimeout("Too slow."), 504, "generation_timeout"),
        (PromptRejected("Not this."), 422, "prompt_rejected"),
        (RuntimeError("a quay"), 502, "generation_failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_failure_within_the_wait_is_an_error_and_charges_nothing(
    api: Program, studio: Studio, provider: Scripted, error: Exception, status: int, code: str
) -> None:
    provider.script = [error]
    worker = work_soon(studio, 0.1)
    answer = api.call("POST", IMAGE, BODY, Idempotency_Key="k1")
    worker.join()
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.json["creditsCharged"] == 0
    assert "a quay" not in answer.text
    again = api.call("POST", IMAGE, BODY, Idempotency_Key="k1")
    assert (again.status_code, again.json["code"]) == (status, code)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert provider.calls == 1
    shown = api.get(f"/api/generations/{answer.json['generationId']}")
    assert (shown["status"], shown["error"]["code"]) == ("failed", code)
    assert wallet(api.person) == (50, 0)


def test_the_list_has_the_callers_generations_newest_first_in_pages(
    api: Program, charlie: Person, studio: Studio
) -> None:
    ids = [studio.ask(api.person) for _ in range(5)]
    studio.ask(charlie)
    seen, cursor = [], ""
    for expected in (2, 2, 1):
        page = api.get(f"/api/generations?limit=2{cursor}")
        assert len(page["items"]) == expected
        seen += [each["id"] for each in page["items"]]
        cursor = f"&cursor={page['nextCursor']}" if page["nextCursor"] else ""
    assert cursor == ""
    assert sorted(seen, reverse=True) == seen
    assert set(seen) == set(ids)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1.5", "limit=%D9%A3"),
        *("cursor=", "cursor=1", "cursor=gen_%27", "cursor=" + "9" * 5000),
    ],
    ids=lambda query: query[:12],
)
def test_an_invalid_limit_or_cursor_is_refused_by_name(api: Program, query: str) -> None:
    for path in ("/api/generations", "/api/credits/transactions"):
        if path.endswith("transactions") and query == "cursor=1":
            continue
        problem = api.refused(422, "validation_failed", "GET", f"{path}?{query}")
        assert problem["errors"][0]["field"] == query.partition("=")[0]


def test_deleting_returns_the_status_of_what_happened(api: Program, studio: Studio) -> None:
    queued = studio.ask(api.person)
    assert api.call("DELETE", f"/api/generations/{queued}").status_code == 200
    finished = studio.make(api.person).id
    assert api.call("DELETE", f"/api/generations/{finished}").status_code == 204
    api.refused(404, "not_found", "DELETE", f"/api/generations/{finished}")
    api.refused(404, "not_found", "GET", "/api/generations/gen_%27")


def test_a_replay_of_a_deleted_generation_generates_nothing(api: Program, studio: Studio) -> None:
    first = api.call("POST", IMAGE, BODY, Idempotency_Key="k1", Prefer="respond-async")
    studio.queue.run()
    assert api.call("DELETE", f"/api/generations/{first.json['id']}").status_code == 204
    answer = api.call("POST", IMAGE, BODY, Idempotency_Key="k1")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert wallet(api.person) == (49.5, 0)


def test_a_replay_says_what_the_first_one_cost_and_what_is_left_by_now(
    api: Program, studio: Studio
) -> None:
    def order() -> TestResponse:
        return api.call("POST", IMAGE, BODY, Idempotency_Key="k1", Prefer="respond-async")

    order()
    studio.queue.run()
    answers = [order()]
    studio.make(api.person)
    answers.append(order())

    assert [each.json["credits"] for each in answers] == [
        {"used": 0.5, "remaining": 49.5},
        {"used": 0.5, "remaining": 49},
    ]
    assert [each.headers["X-Credits-Cost"] for each in answers] == ["0.5", "0.5"]
    assert [each.headers["X-Credits-Remaining"] for each in answers] == ["49.5", "49"]


@pytest.mark.parametrize("key", ["", "x" * 101, "a\x7fb", "schl\xfcssel"])
def test_an_invalid_key_is_refused(api: Program, key: str) -> None:
    answer = api.call("POST", IMAGE, BODY, Idempotency_Key=key)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"


def test_guests_and_members_see_only_their_own_generations(
    guest_api: Program, api: Program, studio: Studio
) -> None:
    made = studio.make(guest_api.person)
    assert [each["id"] for each in guest_api.get("/api/generations")["items"]] == [made.id]
    assert api.get("/api/generations")["items"] == []
    assert remaining(guest_api.person) == 2
