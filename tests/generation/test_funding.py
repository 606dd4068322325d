"""Free images of guests: claimed at submit, kept when delivered, returned after a failure."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from creditapp.generation.providers import GenerationFailed
from tests.app_factory import Person, newcomer
from tests.generation.studio import Scripted, Studio, held_up, lines, remaining, wallet


def info(person: Person) -> Any:
    return person.call("GET", "/api/credits").json["guestInfo"]


def sign_up(person: Person) -> Person:
    number = person.browser.environ_base["REMOTE_ADDR"].replace(".", "-")
    return person.sign_up(f"guest-{number}@example.com")


def test_a_delivered_image_keeps_its_claim(guest: Person, studio: Studio) -> None:
    generation_id = studio.ask(guest)
    assert remaining(guest) == 2
    studio.queue.run()
    answer = guest.call("GET", f"/api/generations/{generation_id}").json
    assert answer["status"] == "succeeded"
    assert answer["guestInfo"]["remaining"] == 2
    assert answer["credits"] is None
    assert guest.browser.get(answer["imageUrl"]).status_code == 200
    studio.check()


def test_a_failure_gives_the_free_image_back(
    guest: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [GenerationFailed("It went wrong.")]
    studio.make(guest)
    assert info(guest)["remaining"] == 3
    assert info(guest)["resetAt"] is None


def test_a_late_failure_gives_back_to_the_window_it_came_from(
    guest: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [GenerationFailed()]
    late = studio.ask(guest)
    studio.clock.advance(timedelta(hours=23))
    provider_of_late = studio.queue.waiting.pop()
    provider.script = None
    studio.clock.advance(timedelta(hours=2))
    studio.make(guest)  # a new window opens
    assert remaining(guest) == 2
    provider.script = [GenerationFailed()]
    studio.queue.waiting.append(provider_of_late)
    studio.queue.run()
    assert studio.generation(late).state == "failed"
    assert remaining(guest) == 2, "the new window owes nothing to the old one"


def test_the_fourth_is_refused_with_when_and_where_to_go(guest: Person, studio: Studio) -> None:
    for _ in range(3):
        studio.make(guest)
    opened_at = studio.clock.now()
    studio.clock.advance(timedelta(hours=1))
    answer = guest.call("POST", "/api/generate-image", {"prompt": "one more"})
    problem = answer.json
    assert (answer.status_code, problem["code"]) == (429, "guest_limit_reached")
    assert (problem["limit"], problem["remaining"]) == (3, 0)
    assert (problem["signupUrl"], problem["signupCredits"]) == ("/auth/signup", 50)
    reset_at = opened_at + timedelta(hours=24)
    assert datetime.fromisoformat(problem["resetAt"]) == reset_at
    assert int(answer.headers["Retry-After"]) == 23 * 3600
    studio.clock.advance(timedelta(hours=23))
    assert remaining(guest) == 3


@pytest.mark.parametrize(
    "body",
    [{"n": 2}, {"model": "nano-banana-pro"}, {"model": "gpt-image", "quality": "high"}],
    ids=str,
)
def test_a_guest_who_orders_a_members_model_is_asked_to_sign_up(
    guest: Person, studio: Studio, body: dict[str, object]
) -> None:
    answer = guest.call("POST", "/api/generate-image", {"prompt": "a quay", **body})
    assert (answer.status_code, answer.json["code"]) == (401, "authentication_required")
    assert answer.json["signupUrl"] == "/auth/signup"
    assert answer.headers["WWW-Authenticate"]
    assert remaining(guest) == 3


def test_signing_up_while_it_runs_settles_the_free_claim_and_moves_the_image(
    guest: Person, studio: Studio, provider: Scripted
) -> None:
    arrived, gate = threading.Event(), threading.Event()
    provider.script = [held_up(gate, arrived), None]
    generation_id = studio.ask(guest)
    worker = studio.work_beside(generation_id)
    assert arrived.wait(60)
    sign_up(guest)
    assert guest.call("GET", f"/api/generations/{generation_id}").json["status"] == "running"
    gate.set()
    worker.join()

    answer = guest.call("GET", f"/api/generations/{generation_id}").json
    assert answer["status"] == "succeeded"
    assert answer["credits"] == {"used": 0, "remaining": 50}
    assert guest.browser.get(answer["imageUrl"]).status_code == 200
    assert wallet(guest) == (50, 0)
    assert lines(guest) == []
    row = studio.generation(generation_id)
    assert (row.owner_kind, row.funding, row.charged_micro) == ("user", "guest", 0)
    studio.check()


def test_signing_up_while_it_is_queued_and_failing_gives_the_claim_back(
    app: Flask, guest: Person, studio: Studio, provider: Scripted
) -> None:
    provider.script = [GenerationFailed()]
    generation_id = studio.ask(guest)
    neighbour = newcomer(app)
    neighbour.browser.environ_base = dict(guest.browser.environ_base)
    assert remaining(neighbour) == 2, "the same network"
    sign_up(guest)
    studio.queue.run()
    assert studio.generation(generation_id).state == "failed"
    assert remaining(neighbour) == 3
    assert wallet(guest) == (50, 0)


def test_a_repeated_key_is_one_free_image(guest: Person, studio: Studio) -> None:
    body = {"prompt": "a quay"}
    guest.call("GET", "/api/credits")  # sets the cookie
    answers = [
        guest.call(
            "POST", "/api/generate-image", body, Prefer="respond-async", Idempotency_Key="k1"
        )
        for _ in range(3)
    ]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert remaining(guest) == 2
    assert answers[2].headers["Idempotent-Replayed"] == "true"


def test_a_worker_killed_with_a_free_image_gives_it_back(
    guest: Person, studio: Studio, provider: Scripted
) -> None:
    generation_id = studio.ask(guest)
    moment = studio.clock.now()
    studio.queue.waiting.clear()
    studio.set(generation_id, state="running", provider_started_at=moment, lease_until=moment)
    studio.sweep(after_seconds=10)
    assert studio.generation(generation_id).state == "failed"
    assert remaining(guest) == 3


def test_a_guest_cannot_see_another_guests_image(app: Flask, guest: Person, studio: Studio) -> None:
    row = studio.make(guest)
    url = guest.call("GET", f"/api/generations/{row.id}").json["imageUrl"]
    other = newcomer(app)
    assert other.browser.get(url).status_code == 404
    assert other.call("GET", f"/api/generations/{row.id}").status_code == 404
