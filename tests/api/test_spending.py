"""Spending, holds, access tokens and grants: paid once, at once, late, by the wrong one, never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from creditapp import ledger
from creditapp.accounts import User
from creditapp.clock import StoppedClock
from creditapp.config import Settings
from creditapp.db import snapshot
from creditapp.features import generate_access_token
from creditapp.services import get, provide
from tests.api.contract import Program
from tests.api.test_keys import KeyHolder, create
from tests.app_factory import Person
from tests.generation.test_submit import at_once

SPEND, HOLDS, GRANT = "/api/credits/spend", "/api/credits/holds", "/api/credits/grant"
ADMIN_KEY = "the-operators-key-of-the-tests"  # pragma: allowlist secret


@pytest.fixture
def program(alice: Person) -> KeyHolder:
    """A program that may spend Alice's credits."""
    return KeyHolder(alice.app, create(alice, scopes=["spend"])["key"])


@pytest.fixture(autouse=True)
def _proven(app: Flask) -> Iterator[None]:
    """Assert the ledger's proof after each test."""
    yield
    with app.app_context(), snapshot() as session:
        report = ledger.proof.check(session.connection())
    assert report.ok, report.as_text()


def body(key: str = "one", **members: object) -> dict[str, object]:
    return {"amount": 5, "feature": "ai-generation", "idempotencyKey": key, **members}


def test_credits_are_spent_once_for_each_key(alice: Person, program: KeyHolder) -> None:
    first = program.call("POST", SPEND, body())
    assert first.status_code == 200
    assert (first.json["success"], first.json["spent"], first.json["balance"]) == (True, 5, 45)
    assert first.headers["X-Credits-Cost"] == "5"
    assert program.call("POST", SPEND, body("two")).json["balance"] == 40
    again = program.call("POST", SPEND, body())
    assert again.json == first.json, "the stored answer, though the balance has moved"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert program.code("POST", SPEND, body(amount=6)) == "idempotency_key_reused"
    assert program.code("POST", SPEND, body(feature="other")) == "idempotency_key_reused"
    header = program.call("POST", SPEND, body(None), **{"Idempotency-Key": "one"})  # type: ignore[arg-type]
    assert header.headers["Idempotent-Replayed"] == "true", "the header says the same"
    line = alice.call("GET", "/api/credits/transactions").json["items"][0]
    assert (line["type"], line["amount"], line["metadata"]["feature"]) == (
        "DEBIT", -5, "ai-generation",
    )  # fmt: skip
    assert alice.balance() == 40


def test_twenty_at_once_with_one_key_pay_once_and_a_refusal_is_not_remembered(
    alice: Person, program: KeyHolder
) -> None:
    answers = at_once(20, lambda: program.call("POST", SPEND, body()))
    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert len({answer.json["entryId"] for answer in answers}) == 1
    assert alice.balance() == 45
    many = at_once(20, lambda: program.call("POST", SPEND, {**body(), "idempotencyKey": _new()}))
    assert Counter(answer.status_code for answer in many) == {200: 9, 402: 11}
    assert alice.balance() == 0
    refusal = program.call("POST", SPEND, body("later"))
    assert (refusal.json["required"], refusal.json["shortfall"]) == (5, 5)
    assert refusal.json["packsUrl"]


_numbers = iter(range(1, 1000))


def _new() -> str:
    return f"key-{next(_numbers)}"


def test_wrong_amounts_names_and_keys_are_named_and_cost_nothing(
    alice: Person, program: KeyHolder
) -> None:
    for amount in (0, -1, True, "5", None, 0.0000001, 10**10, [5]):
        assert program.code("POST", SPEND, body(amount=amount)) == "validation_failed", amount
    for feature in ("", "A B", "x" * 81, "a/b", "é", None, 5):
        assert program.code("POST", SPEND, body(feature=feature)) == "validation_failed", feature
    for text in ("a\0b", "\x1b[2J", "x" * 201, None, 5):
        assert program.code("POST", SPEND, body(description=text)) == "validation_failed", text
    for key in ("", "x" * 101, "a\nb", 5, None):
        assert program.code("POST", SPEND, body(key)) == "validation_failed", key  # type: ignore[arg-type]
    assert program.code("POST", SPEND, body(maxCredits=4)) == "max_credits_exceeded"
    assert alice.balance() == 50


def test_a_hold_is_captured_in_part_released_or_lapses(
    app: Flask, alice: Person, charlie: Person, program: KeyHolder, clock: StoppedClock
) -> None:
    held = program.call("POST", HOLDS, body(seconds=60))
    assert held.status_code == 201
    assert (held.json["state"], held.json["amount"], held.json["balance"]) == ("open", 5, 45)
    assert program.call("POST", HOLDS, body(seconds=60)).headers["Idempotent-Replayed"] == "true"
    path = f"{HOLDS}/{held.json['id']}"
    for amount in (6, -1, True):
        assert program.code("POST", f"{path}/capture", {"amount": amount}) == "validation_failed"
    stranger = KeyHolder(app, create(charlie, scopes=["spend"])["key"])
    for other in (path, f"{HOLDS}/hold_0", f"{HOLDS}/hold_999999", f"{HOLDS}/x"):
        assert stranger.code("POST", f"{other}/capture") == "not_found"
        assert stranger.code("POST", f"{other}/release") == "not_found"
    captured = program.call("POST", f"{path}/capture", {"amount": 2})
    assert (captured.json["state"], captured.json["captured"], captured.json["balance"]) == (
        "captured", 2, 48,
    )  # fmt: skip
    assert program.code("POST", f"{path}/capture", {"amount": 2}) == 200, "a repeat is harmless"
    assert program.code("POST", f"{path}/capture", {"amount": 3}) == "conflict"
    assert program.code("POST", f"{path}/release") == "conflict"

    second = program.call("POST", HOLDS, body("two")).json["id"]
    released = program.call("POST", f"{HOLDS}/{second}/release").json
    assert (released["state"], released["balance"]) == ("released", 48)
    third = program.call("POST", HOLDS, body("three", seconds=60)).json["id"]
    clock.advance(timedelta(seconds=61))
    assert program.code("POST", f"{HOLDS}/{third}/capture") == "conflict"
    assert alice.balance() == 48


def test_a_key_with_a_budget_ends_only_the_holds_that_count_to_it(
    app: Flask, alice: Person, program: KeyHolder, clock: StoppedClock
) -> None:
    """A stolen key of 3 credits must not take the 20 that another program set aside."""
    made = create(alice, scopes=["spend"], budget={"amount": 3})
    bounded = KeyHolder(app, made["key"])
    sent = {"feature": "ai-generation"}
    token = KeyHolder(app, bounded.call("POST", "/api/me/access-token", sent).json["token"])
    of_other = program.call("POST", HOLDS, body("theirs", amount=20)).json["id"]
    of_session = Program(alice).call("POST", HOLDS, body("mine", amount=20)).json["id"]
    for hold_id in (of_other, of_session):
        for narrow in (bounded, token):
            assert narrow.code("POST", f"{HOLDS}/{hold_id}/capture") == "not_found"
            assert narrow.code("POST", f"{HOLDS}/{hold_id}/release") == "not_found"
    own = [bounded.call("POST", HOLDS, body(key, amount=1)).json["id"] for key in "abc"]
    assert bounded.code("POST", f"{HOLDS}/{own[0]}/capture") == 200
    assert token.code("POST", f"{HOLDS}/{own[1]}/capture") == 200, "it counts to the same budget"
    # A key in place of the narrow one, and the member: both could spend the balance anyway.
    assert program.code("POST", f"{HOLDS}/{own[2]}/capture") == 200
    assert Program(alice).call("POST", f"{HOLDS}/{of_other}/release").status_code == 200
    assert program.code("POST", f"{HOLDS}/{of_session}/release") == 200
    assert alice.balance() == 47


@pytest.mark.databases("sqlite", "postgresql")
def test_a_hold_counts_to_the_budget_of_the_key_that_made_it_until_it_ends(
    app: Flask, api: Program, program: KeyHolder, clock: StoppedClock
) -> None:
    made = create(api.person, scopes=["spend"], budget={"amount": 7})
    bounded = KeyHolder(app, made["key"])

    def counted() -> Any:
        (key,) = (each for each in api.get("/api/keys")["items"] if each["id"] == made["id"])
        return key["budget"]["spent"]

    first, second = (
        bounded.call("POST", HOLDS, body(key, amount=amount, seconds=60)).json["id"]
        for key, amount in (("first", 5), ("second", 2))
    )
    assert counted() == 7
    assert bounded.code("POST", SPEND, body("more", amount=1)) == "budget_exceeded"
    assert bounded.code("POST", HOLDS, body("more", amount=1)) == "budget_exceeded"
    assert bounded.code("POST", f"{HOLDS}/{first}/capture", {"amount": 2}) == 200
    assert counted() == 4
    answers = at_once(6, lambda: bounded.code("POST", SPEND, body(_new(), amount=1)))
    assert Counter(answers) == {200: 3, "budget_exceeded": 3}
    assert program.code("POST", f"{HOLDS}/{second}/capture", {"amount": 1}) == 200
    assert counted() == 6, "it counts to the key that made it, whoever captures it"
    lapsing = bounded.call("POST", HOLDS, body("lapsing", amount=1, seconds=60))
    assert (lapsing.status_code, counted()) == (201, 7)
    clock.advance(timedelta(seconds=61))
    assert counted() == 6, "its time is over, though nothing has swept it yet"
    assert bounded.code("POST", SPEND, body("last", amount=1)) == 200
    assert bounded.code("POST", SPEND, body("over", amount=0.000001)) == "budget_exceeded"


def test_a_capture_costs_no_more_than_its_request_allows(alice: Person, program: KeyHolder) -> None:
    path = f"{HOLDS}/{program.call('POST', HOLDS, body()).json['id']}/capture"
    for sent, header in (({}, "4.999999"), ({"amount": 3}, "2"), ({"maxCredits": 4}, None)):
        headers = {"X-Max-Credits": header} if header else {}
        answer = program.call("POST", path, sent, **headers)
        assert (answer.status_code, answer.json["code"]) == (402, "max_credits_exceeded")
    empty = program.call("POST", path, None, **{"X-Max-Credits": "4"})
    assert (empty.json["required"], empty.json["limit"]) == (5, 4)
    assert (alice.balance(), program.code("POST", path, {"maxCredits": "3"})) == (
        45, "validation_failed",
    )  # fmt: skip
    captured = program.call("POST", path, {"amount": 3, "maxCredits": 3})
    assert (captured.status_code, captured.json["captured"]) == (200, 3)
    assert alice.balance() == 47


def test_an_access_token_spends_for_its_feature_during_a_minute(
    app: Flask, alice: Person, program: KeyHolder, clock: StoppedClock
) -> None:
    made = Program(alice).call("POST", "/api/me/access-token", {"feature": "ai-generation"}).json
    token = KeyHolder(app, made["token"])
    assert token.code("POST", SPEND, body()) == 200
    assert token.code("POST", SPEND, body("two", feature="other")) == "forbidden"
    assert token.code("POST", "/api/me/access-token", {"feature": "other"}) == "forbidden"
    assert token.code("GET", "/api/credits") == "forbidden", "it spends and does nothing else"
    others = program.call("POST", HOLDS, body("three", feature="other")).json["id"]
    assert token.code("POST", f"{HOLDS}/{others}/capture") == "not_found"
    for wrong in (made["token"][:-1], made["token"] + "x", "cat_", "cat_" + "é" * 9):
        latin = wrong.encode().decode("latin-1")
        assert KeyHolder(app, latin).code("POST", SPEND, body("four")) == "token_invalid"
    with app.app_context():
        user_id = generate_access_token("usr_nobody", "ai-generation")
    assert KeyHolder(app, user_id.token).code("POST", SPEND, body()) == "token_invalid"
    clock.advance(timedelta(seconds=61))
    assert token.code("POST", SPEND, body("five")) == "token_expired"
    assert alice.balance() == 40


def test_a_token_made_by_a_key_spends_of_its_budget_and_ends_with_it(
    app: Flask, api: Program, clock: StoppedClock
) -> None:
    made = create(api.person, scopes=["spend"], budget={"amount": 7})
    key = KeyHolder(app, made["key"])
    token = KeyHolder(
        app, key.call("POST", "/api/me/access-token", {"feature": "ai-generation"}).json["token"]
    )
    assert token.code("POST", SPEND, body()) == 200
    assert token.code("POST", SPEND, body("two")) == "budget_exceeded"
    api.call("DELETE", f"/api/keys/{made['id']}")
    assert token.code("POST", SPEND, body("three", amount=1)) == "token_invalid"


def test_a_token_spends_no_longer_than_its_key_may(app: Flask, api: Program) -> None:
    made = create(api.person, scopes=["read", "spend"])
    key = KeyHolder(app, made["key"])
    sent = {"feature": "ai-generation"}
    token = KeyHolder(app, key.call("POST", "/api/me/access-token", sent).json["token"])
    assert token.code("POST", SPEND, body()) == 200
    api.call("PATCH", f"/api/keys/{made['id']}", {"scopes": ["read"]})
    assert token.code("POST", SPEND, body("two")) == "forbidden"
    assert token.code("GET", "/api/credits/balance") == "forbidden", "it never reads"


@pytest.fixture
def operator(app: Flask) -> Any:
    """A function that calls as the operator's script."""
    with app.app_context():
        settings = get(Settings).model_copy(update={"admin_api_key": ADMIN_KEY})
        provide(app, Settings, settings)

    def call(sent: dict[str, object], key: str = ADMIN_KEY) -> TestResponse:
        headers = {"x-admin-key": key}
        return app.test_client().post(GRANT, json=sent, headers=headers)

    return call


def test_an_operator_grants_once_for_each_key(
    alice: Person, operator: Any, clock: StoppedClock
) -> None:
    grant = {"userId": _id(alice), "amount": 100, "reason": "promotional", "idempotencyKey": "may"}
    answers = at_once(8, lambda: operator(grant))
    assert Counter(answer.status_code for answer in answers) == {200: 8}
    assert alice.balance() == 150
    assert operator({**grant, "amount": 1}).json["code"] == "idempotency_key_reused"
    for field, wrong in (("amount", -1), ("reason", ""), ("expiresAt", "2020-01-01T00:00:00Z")):
        answer = operator({**grant, field: wrong, "idempotencyKey": _new()})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert operator({**grant, "userId": "usr_x", "idempotencyKey": _new()}).status_code == 404
    for field in ("userId", "reason"):
        answer = operator({**grant, field: "a\0b", "idempotencyKey": _new()})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    for key in (ADMIN_KEY[:-1], ADMIN_KEY + "x", "", ADMIN_KEY[:-1] + "Y"):
        assert operator(grant, key).status_code == 401
    line = alice.call("GET", "/api/credits/transactions").json["items"][0]
    assert (line["type"], line["amount"], line["description"]) == ("CREDIT", 100, "promotional")


def _id(person: Person) -> str:
    with person.app.app_context(), snapshot() as session:
        return session.scalars(select(User.id).where(User.email == person.email)).one()


def test_the_example_spends_a_credit_and_counts_words(alice: Person) -> None:
    program = Program(alice)
    sent = {"text": "A quiet harbour at dusk", "idempotencyKey": "one"}
    answer = program.call("POST", "/api/example/use-credits", sent)
    assert (answer.json["words"], answer.json["credits"]) == (5, {"used": 1, "remaining": 49})
    again = program.call("POST", "/api/example/use-credits", sent)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = {**sent, "text": "Another text"}
    program.refused(409, "idempotency_key_reused", "POST", "/api/example/use-credits", other)
    assert alice.balance() == 49
    spend = {"amount": 1, "feature": "word-count", "idempotencyKey": sent["idempotencyKey"]}
    elsewhere = program.call("POST", "/api/credits/spend", spend)
    assert elsewhere.status_code == 200, "a key belongs to its route"
