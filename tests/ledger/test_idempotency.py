"""Idempotency keys: stored with their effect, claimed, taken over, released."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine

from creditapp import ledger
from creditapp.db import transaction
from creditapp.errors import IdempotencyInProgress
from creditapp.ledger import idempotency
from tests.ledger.cast import START, Person


def test_a_request_and_its_response_are_stored_with_the_effect(engine: Engine) -> None:
    with transaction(engine) as session:
        connection = session.connection()
        alice = Person(connection, "alice")
        alice.gets(10)

    def spend(amount: int, digest: str) -> str:
        with transaction(engine) as session:
            connection = session.connection()
            request_key = ("user:alice", "POST /api/credits/spend", "k1")
            response = idempotency.claim(connection, *request_key, digest, now=START)
            if response is not None:
                return f"replayed {response}"
            charge = ledger.spend(
                connection,
                alice.wallet,
                ledger.NewCharge(amount_micro=amount, key="r:1", digest=digest, operation="image"),
                now=START,
            )
            idempotency.complete(
                connection, *request_key, digest, f'{{"spent": {charge.amount_micro}}}'
            )
            return "done"

    with pytest.raises(ledger.InsufficientCredits):
        spend(20, "a")
    with transaction(engine) as session:
        Person(session.connection(), "alice").gets(10, "gift")
    # After buying the same key is new: the refusal stored nothing.
    assert spend(20, "a") == "done"
    assert spend(20, "a") == 'replayed {"spent": 20}'
    with pytest.raises(ledger.IdempotencyKeyReused):
        spend(20, "b")


def test_keys_belong_to_their_caller_and_route(connection: Connection) -> None:
    for caller, route in (("alice", "spend"), ("bob", "spend"), ("alice", "hold")):
        assert idempotency.claim(connection, caller, route, "k", "d", now=START) is None
        idempotency.complete(connection, caller, route, "k", "d", "{}")
    assert idempotency.claim(connection, "alice", "hold", "k", "d", now=START) == "{}"


REQUEST_KEY = ("user:alice", "choose-plan", "k")
LAPSED = START + timedelta(minutes=1)
LATER = START + timedelta(minutes=2)


def test_a_claim_without_a_response_is_taken_over_once_it_has_lapsed(
    connection: Connection,
) -> None:
    assert idempotency.claim(connection, *REQUEST_KEY, "d", now=START) is None
    for before in (None, START):
        with pytest.raises(IdempotencyInProgress):
            idempotency.claim(connection, *REQUEST_KEY, "d", now=LATER, lapsed_before=before)
    assert idempotency.claim(connection, *REQUEST_KEY, "d", now=LATER, lapsed_before=LAPSED) is None
    with pytest.raises(IdempotencyInProgress):
        idempotency.claim(connection, *REQUEST_KEY, "d", now=LATER, lapsed_before=LAPSED)
    with pytest.raises(ledger.IdempotencyKeyReused):
        idempotency.claim(connection, *REQUEST_KEY, "other", now=LATER, lapsed_before=LATER)


def test_a_released_key_is_free_for_any_body(connection: Connection) -> None:
    idempotency.claim(connection, *REQUEST_KEY, "d", now=START)
    idempotency.claim(connection, *REQUEST_KEY, "d", now=LATER, lapsed_before=LAPSED)
    idempotency.release(connection, *REQUEST_KEY, since=START)  # another has taken it over
    assert idempotency.stored_response(connection, *REQUEST_KEY, "d") is None
    with pytest.raises(ledger.IdempotencyKeyReused):
        idempotency.stored_response(connection, *REQUEST_KEY, "other")
    idempotency.release(connection, *REQUEST_KEY, since=LATER)
    assert idempotency.claim(connection, *REQUEST_KEY, "other", now=LATER) is None
    idempotency.complete(connection, *REQUEST_KEY, "other", "{}")
    idempotency.release(connection, *REQUEST_KEY, since=LATER)
    assert idempotency.stored_response(connection, *REQUEST_KEY, "other") == "{}"


def test_the_first_response_stays(connection: Connection) -> None:
    idempotency.complete(connection, *REQUEST_KEY, "d", "lost its claim")
    assert idempotency.stored_response(connection, *REQUEST_KEY, "d") is None
    idempotency.claim(connection, *REQUEST_KEY, "d", now=START)
    idempotency.complete(connection, *REQUEST_KEY, "other", "another body's")
    idempotency.complete(connection, *REQUEST_KEY, "d", "first")
    idempotency.complete(connection, *REQUEST_KEY, "d", "second")
    assert idempotency.claim(connection, *REQUEST_KEY, "d", now=LATER) == "first"
