"""Events leave the ledger at least once, and never to two workers at a time."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, Engine, text

from creditapp import ledger
from creditapp.db import transaction
from creditapp.ledger import idempotency, outbox
from tests.ledger.cast import DAY, START, Person


def test_every_event_waits_in_the_outbox_with_its_payload(alice: Person) -> None:
    grant = alice.gets(20, expires_at=START + DAY)
    alice.spends(5, key="generation:1")
    held = alice.holds(5)
    ledger.release(alice.connection, held.id, now=START)
    ledger.revoke(alice.connection, grant.id, 3, now=START, reason="refund")
    ledger.expire(alice.connection, alice.wallet, now=START + DAY)
    topics = ["granted", "captured", "released", "revoked", "expired"]
    events = outbox.claim(alice.connection, topics, 10, now=START)
    assert [event.topic for event in events] == topics
    assert {event.wallet_id for event in events} == {alice.wallet}
    assert events[1].payload["key"] == "generation:1"
    assert events[4].payload == {"amount_micro": 12}


def test_a_lapsed_hold_is_announced_when_it_is_swept(alice: Person) -> None:
    alice.gets(20)
    held = alice.holds(5, expires_at=START + DAY)
    ledger.expire(alice.connection, alice.wallet, now=START + 2 * DAY)
    (event,) = outbox.claim(alice.connection, ["released"], 10, now=START)
    assert event.payload == {"charge": held.id, "amount_micro": 5}
    assert (event.wallet_id, event.created_at) == (alice.wallet, START + 2 * DAY)


def test_a_total_posted_again_announces_nothing(alice: Person) -> None:
    grant = alice.buys(20)
    for total_micro in (15, 15, 5, 5):
        ledger.revoke(alice.connection, grant.id, total_micro, now=START, reason="refund")
    events = outbox.claim(alice.connection, ["revoked", "restored"], 10, now=START)
    assert [(event.topic, event.payload) for event in events] == [
        ("revoked", {"grant": grant.id, "amount_micro": 15, "reason": "refund"}),
        ("restored", {"grant": grant.id, "amount_micro": 10, "reason": "refund"}),
    ]


def test_a_claimed_event_is_offered_again_only_after_its_lease(alice: Person) -> None:
    alice.gets(20)
    (event,) = outbox.claim(alice.connection, ["granted"], 10, now=START)
    assert outbox.claim(alice.connection, ["granted"], 10, now=START) == []
    late = START + outbox.LEASE + timedelta(seconds=1)
    assert outbox.claim(alice.connection, ["granted"], 10, now=late) == [event]
    outbox.done(alice.connection, [event.id], now=late)
    assert outbox.claim(alice.connection, ["granted"], 10, now=late + DAY) == []


def test_a_refused_spend_writes_no_event_and_no_entry(engine: Engine) -> None:
    with transaction(engine) as session:
        alice = Person(session.connection(), "alice")
    try:
        with transaction(engine) as session:
            alice.connection = session.connection()
            alice.gets(5)
            alice.spends(9)
    except ledger.InsufficientCredits:
        pass
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM outbox")).scalar() == 0
        assert connection.execute(text("SELECT COUNT(*) FROM entries")).scalar() == 0


def test_old_events_and_keys_are_deleted(alice: Person, connection: Connection) -> None:
    alice.gets(5)
    alice.spends(1, low_micro=5)
    idempotency.claim(connection, "c", "r", "k", "d", now=START)
    assert outbox.prune(connection, before=START + DAY, keep=["low_balance"]) == 2
    assert idempotency.prune(connection, before=START + DAY) == 1
    (event,) = outbox.claim(connection, ["low_balance", "granted"], 10, now=START)
    assert event.topic == "low_balance"
