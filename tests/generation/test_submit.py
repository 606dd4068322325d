"""Submission: what is accepted, what is refused, and that a repeated order is made once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import creditapp
from creditapp import ledger
from creditapp.catalog import Catalog, load_catalog
from creditapp.db import transaction
from creditapp.generation import queries
from creditapp.generation.models import Generation
from creditapp.generation.providers import Providers
from creditapp.http.sessions import find_member
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio, lines, remaining, wallet

IMAGE = "/api/generate-image"


def post(person: Person, body: object, key: str | None = None, path: str = IMAGE) -> TestResponse:
    headers = {"Prefer": "respond-async", "Sec-Fetch-Site": "same-origin"}
    headers |= {"Idempotency-Key": key} if key else {}
    # Encoded here, because the app's JSON provider refuses what a hostile client sends.
    text = json.dumps(body)
    return person.browser.post(path, data=text, headers=headers, content_type="application/json")


def refused(answer: TestResponse, status: int, code: str) -> Any:
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    return answer.json


def change_wallet(app: Flask, person: Person, change: Callable[..., object]) -> None:
    """Call ``change(connection, wallet_id)`` in a transaction on a member's wallet."""
    with person.browser.session_transaction() as session:
        session_id = session["_user_id"]
    with app.app_context(), transaction() as database:
        member = find_member(database, session_id)
        assert member is not None
        change(database.connection(), member.wallet_id)


def test_the_same_key_and_body_give_the_same_generation(alice: Person, studio: Studio) -> None:
    body = {"prompt": "a quay", "model": "nano-banana", "n": 2}
    first = post(alice, body, "k1")
    again = post(alice, dict(reversed(body.items())), "k1")
    assert first.json["id"] == again.json["id"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert wallet(alice) == (49, 1)

    studio.queue.run()
    later = post(alice, body, "k1")
    assert (later.status_code, later.json["status"]) == (200, "succeeded")
    assert later.headers["Idempotent-Replayed"] == "true"
    assert wallet(alice) == (49, 0)
    assert len([row for row in studio.generations() if row.id == first.json["id"]]) == 1


def test_the_same_key_with_another_body_is_a_conflict(alice: Person, studio: Studio) -> None:
    first = post(alice, {"prompt": "a quay"}, "k1")
    refused(post(alice, {"prompt": "a ship"}, "k1"), 409, "idempotency_key_reused")
    refused(post(alice, {"prompt": "a quay", "n": 2}, "k1"), 409, "idempotency_key_reused")
    assert post(alice, {"prompt": "a quay"}, "k1").json["id"] == first.json["id"]


def test_a_key_belongs_to_its_caller_and_its_route(
    alice: Person, charlie: Person, studio: Studio
) -> None:
    body = {"prompt": "a quay", "model": "nano-banana"}
    ids = {
        post(alice, body, "k1").json["id"],
        post(charlie, body, "k1").json["id"],
        post(alice, body, "k1", "/api/generate-nano-banana").json["id"],
    }
    assert len(ids) == 3


def test_a_key_in_the_body_is_a_key(alice: Person, studio: Studio) -> None:
    body = {"prompt": "a quay", "idempotencyKey": "k1"}
    assert post(alice, body).json["id"] == post(alice, body).json["id"]
    assert post(alice, {"prompt": "a quay"}).json["id"] != post(alice, body).json["id"]


def test_the_fields_of_older_clients_are_read(alice: Person, studio: Studio) -> None:
    body = {"text": "a quay", "images": [], "seconds": 5, "voice": "alloy", "models": ["x"]}
    answer = post(alice, body)
    assert (answer.status_code, answer.json["prompt"]) == (202, "a quay")


def test_a_quality_that_costs_nothing_reaches_no_vendor(alice: Person, studio: Studio) -> None:
    answer = post(alice, {"prompt": "a quay", "model": "flux-dev", "quality": "high"})
    assert answer.status_code == 202
    assert studio.generation(answer.json["id"]).quality is None


def test_a_refusal_is_not_remembered(app: Flask, alice: Person, studio: Studio) -> None:
    costly = {"prompt": "a quay", "model": "gpt-image", "quality": "high", "n": 4}
    assert post(alice, costly, "first").status_code == 202
    problem = refused(post(alice, costly, "second"), 402, "insufficient_credits")
    assert (problem["required"], problem["balance"], problem["shortfall"]) == (32, 18, 14)
    assert (problem["packsUrl"], problem["plansUrl"]) == ("/credits", "/credits")
    assert wallet(alice) == (18, 32)

    change_wallet(
        app,
        alice,
        lambda connection, wallet_id: ledger.grant(
            connection,
            wallet_id,
            ledger.NewGrant(amount_micro=100_000_000, source="admin", origin=f"test:{wallet_id}"),
            now=studio.clock.now(),
        ),
    )
    answer = post(alice, costly, "second")
    assert answer.status_code == 202
    assert "Idempotent-Replayed" not in answer.headers
    assert wallet(alice) == (86, 64)


def test_two_clicks_at_the_same_moment_make_one_generation_and_one_hold(
    alice: Person, studio: Studio
) -> None:
    answers = at_once(6, lambda: post_as(alice, {"prompt": "a quay", "n": 2}, "k1"))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sorted("Idempotent-Replayed" in answer.headers for answer in answers) == [
        False,
        *[True] * 5,
    ]
    assert wallet(alice) == (48, 2)
    studio.queue.run()
    assert lines(alice) == [("DEBIT", -2)]
    studio.check()


def test_two_clicks_with_the_last_credits_make_one_generation(
    alice: Person, studio: Studio
) -> None:
    body = {"prompt": "a quay", "model": "gpt-image", "quality": "high", "n": 4}  # 32 of 50
    answers = at_once(6, lambda: post_as(alice, body, "k1"))
    assert {answer.status_code for answer in answers} == {202}, "nobody is told to buy credits"
    assert len({answer.json["id"] for answer in answers}) == 1
    assert wallet(alice) == (18, 32)
    studio.queue.run()
    assert lines(alice) == [("DEBIT", -32)]
    studio.check()


def test_two_clicks_of_a_guest_use_one_free_image(guest: Person, studio: Studio) -> None:
    guest.browser.get("/")  # the cookie that names the guest
    before = remaining(guest)
    answers = at_once(6, lambda: post_as(guest, {"prompt": "a quay"}, "k1"))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert remaining(guest) == before - 1


@pytest.mark.parametrize("whose", ["alice", "guest"])
def test_a_lost_race_holds_nothing_and_returns_what_the_winner_made(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, studio: Studio, whose: str
) -> None:
    person: Person = request.getfixturevalue(whose)
    person.browser.get("/")
    first = post(person, {"prompt": "a quay"}, "k1")
    holds = wallet(person) if whose == "alice" else remaining(person)
    genuine, calls = queries.find_by_key, []

    def miss_the_winner(*args: Any) -> Generation | None:
        """Return nothing the first time, as when the winner commits just afterwards."""
        calls.append(args)
        return None if len(calls) == 1 else genuine(*args)

    monkeypatch.setattr(queries, "find_by_key", miss_the_winner)
    second = post(person, {"prompt": "a quay"}, "k1")
    assert (second.status_code, second.json["id"]) == (202, first.json["id"])
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(calls) == 3  # before the hold, after it, and for the answer
    assert holds == (wallet(person) if whose == "alice" else remaining(person))
    calls.clear()
    refused(post(person, {"prompt": "a ship"}, "k1"), 409, "idempotency_key_reused")
    assert holds == (wallet(person) if whose == "alice" else remaining(person))
    studio.check()


def test_orders_at_the_same_moment_never_spend_more_than_the_balance(
    alice: Person, studio: Studio
) -> None:
    body = {"prompt": "a quay", "model": "gpt-image", "quality": "high", "n": 2}  # 16 each
    answers = at_once(6, lambda: post_as(alice, body, None))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [402] * 3
    assert wallet(alice) == (2, 48)
    studio.queue.run()
    assert wallet(alice) == (2, 0)
    studio.check()


def test_a_frozen_account_makes_nothing(app: Flask, alice: Person, studio: Studio) -> None:
    change_wallet(
        app,
        alice,
        lambda connection, wallet_id: ledger.freeze_wallet(
            connection, wallet_id, now=studio.clock.now()
        ),
    )
    refused(post(alice, {"prompt": "a quay"}, "k1"), 403, "account_frozen")
    change_wallet(
        app,
        alice,
        lambda connection, wallet_id: ledger.unfreeze_wallet(
            connection, wallet_id, now=studio.clock.now()
        ),
    )
    assert post(alice, {"prompt": "a quay"}, "k1").status_code == 202


def test_a_model_without_a_provider_is_unavailable(
    app: Flask, alice: Person, studio: Studio
) -> None:
    with serving_nothing(app):
        problem = refused(post(alice, {"prompt": "a quay"}, "k1"), 503, "provider_unavailable")
        assert problem["creditsCharged"] == 0
    assert wallet(alice) == (50, 0)
    assert post(alice, {"prompt": "a quay"}, "k1").status_code == 202


def test_a_model_that_goes_while_it_is_queued_costs_nothing(
    app: Flask, alice: Person, studio: Studio
) -> None:
    generation_id = studio.ask(alice)
    with serving_nothing(app):
        studio.queue.run()
    assert studio.generation(generation_id).error_code == "provider_unavailable"
    assert wallet(alice) == (50, 0)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("model", {"model": "of-yesterday"}),
        ("model", {"model": "x" * 65}),
        ("model", {"model": 7}),
        ("size", {"size": "7x7"}),
        ("size", {"size": "1024x1024; DROP TABLE"}),
        ("quality", {"model": "gpt-image", "quality": "best"}),
        ("n", {"n": 0}),
        ("n", {"n": -1}),
        ("n", {"n": 5}),
        ("n", {"n": "2"}),
        ("n", {"n": True}),
        ("n", {"n": 2.0}),
        ("n", {"n": None}),
        ("n", {"n": 10**30}),
        ("prompt", {"prompt": ""}),
        ("prompt", {"prompt": " \n\t "}),
        ("prompt", {"prompt": "\u200b \u2060"}),
        ("images.0", {"images": ["https://example.com/a.png"]}),
        ("prompt", {"prompt": None}),
        ("prompt", {"prompt": 7}),
        ("prompt", {"prompt": "x" * 10_000}),
        ("prompt", {"prompt": "a \x00 quay"}),
        ("prompt", {"prompt": "a \x1b[31m quay"}),
        ("prompt", {"prompt": "a \x7f quay"}),
        ("prompt", {"prompt": "a \ud800 quay"}),
        ("price", {"price": 0}),
        ("body", {"seed\ud800": 1}),
        ("idempotencyKey", {"idempotencyKey": "x" * 300}),
        ("Idempotency-Key", {"idempotencyKey": ""}),
        ("Idempotency-Key", {"idempotencyKey": "a\nb"}),
    ],
    ids=lambda value: repr(value)[:40].encode("ascii", "replace").decode(),
)
def test_a_field_that_is_wrong_is_named_and_costs_nothing(
    alice: Person, studio: Studio, field: str, body: dict[str, object]
) -> None:
    before = len(studio.generations())
    problem = refused(post(alice, {"prompt": "a quay", **body}), 422, "validation_failed")
    named = [error["field"] for error in problem["errors"]]
    assert named == [field]
    assert all(error["message"] for error in problem["errors"])
    assert wallet(alice) == (50, 0)
    assert len(studio.generations()) == before


def test_a_model_of_six_images_offers_and_makes_six(
    app: Flask, alice: Person, studio: Studio, tmp_path: Path
) -> None:
    text = (Path(creditapp.__file__).parent / "catalog" / "studio.toml").read_text(encoding="utf-8")
    file = tmp_path / "six.toml"
    file.write_text(text.replace('id = "flux-dev"', 'id = "flux-dev"\nmax_images = 6'))
    with selling(app, load_catalog(file)):
        page = alice.page("/?model=flux-dev&n=6")
        assert [choice["value"] for choice in page.all("input[name=n]")] == list("123456")
        problem = refused(
            post(alice, {"prompt": "a quay", "model": "flux-dev", "n": 7}), 422, "validation_failed"
        )
        assert problem["errors"] == [
            {"field": "n", "message": "Flux Dev makes 1 to 6 images at once."}
        ]
        row = studio.make(alice, model="flux-dev", n=6)
    assert (row.delivered, row.charged_micro) == (6, 6_000_000)


@pytest.mark.parametrize(
    "prompt",
    [
        "e",
        "x" * 4000,
        "a quay 🌊 at dusk 👩‍👩‍👧",
        "café\r\nsecond line\tand a tab",
        "‮right to left",
        "堤防",
    ],
    ids=lambda prompt: ascii(prompt[:12]),
)
def test_prompts_that_people_write_are_taken(
    alice: Person, studio: Studio, provider: Scripted, prompt: str
) -> None:
    row = studio.make(alice, prompt=prompt)
    assert row.state == "succeeded"
    assert provider.requests[-1].prompt == prompt.replace("\r\n", "\n")


def test_the_names_of_older_clients_are_understood(
    alice: Person, studio: Studio, provider: Scripted
) -> None:
    row = studio.make(alice, model=None, aiModel="nano-banana-pro", models=["whatever", 3])
    assert row.state == "succeeded"
    assert studio.make(alice, aiModel="flux-dev").model == "nano-banana", "model wins over aiModel"
    answer = post(alice, {"prompt": "a quay", "aiModel": "nano-banana-pro"})
    assert answer.json["model"] == "nano-banana-pro"
    answer = post(alice, {"prompt": "a quay"}, path="/api/generate-nano-banana")
    assert answer.json["model"] == "nano-banana"


def test_a_double_click_on_the_form_makes_one_and_an_edited_form_another(
    alice: Person, studio: Studio
) -> None:
    nonce = alice.page("/").value("nonce")
    fields = {"prompt": "a quay", "model": "nano-banana", "nonce": nonce}
    first, second = (alice.post("/generations", fields) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.location == second.location
    edited = alice.post("/generations", {**fields, "prompt": "a ship"})
    assert edited.location != first.location
    assert wallet(alice) == (49, 1)


@pytest.mark.parametrize("nonce", ["", "short", "x" * 65, "has a NUL \x00", "has a space in it"])
def test_a_form_with_a_nonce_of_another_make_is_refused(
    alice: Person, studio: Studio, nonce: str
) -> None:
    answer = alice.post("/generations", {"prompt": "a quay", "nonce": nonce})
    assert answer.status_code in (400, 422)
    assert wallet(alice) == (50, 0)


def at_once(count: int, call: Callable[[], TestResponse]) -> list[TestResponse]:
    """Call from several threads at the same moment."""
    barrier, answers = threading.Barrier(count), []

    def run() -> None:
        barrier.wait()
        answers.append(call())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def post_as(person: Person, body: object, key: str | None, path: str = IMAGE) -> TestResponse:
    """Post from a second tab: the same cookies, a client of its own for this thread."""
    tab = Person(person.app)
    tab.browser.environ_base = dict(person.browser.environ_base)
    for cookie in ("creditapp_session", "creditapp_guest"):
        value = person.browser.get_cookie(cookie)
        if value is not None:
            tab.browser.set_cookie(cookie, value.value)
    return post(tab, body, key, path)


@contextmanager
def selling(app: Flask, catalog: Catalog) -> Iterator[None]:
    """Sell by another catalog for a moment."""
    with app.app_context():
        before = get(Catalog)
    provide(app, Catalog, catalog)
    yield
    provide(app, Catalog, before)


@contextmanager
def serving_nothing(app: Flask) -> Iterator[None]:
    """Run without a provider for any model, as production without keys."""
    with app.app_context():
        before = get(Providers)
    provide(app, Providers, Providers({}, offline=None))
    yield
    provide(app, Providers, before)
