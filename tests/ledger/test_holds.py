"""Spends and holds: balance, keys, order of spending, low balance."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, text

from creditapp import ledger
from creditapp.db import WriteOutsideTransaction
from creditapp.errors import NotFound
from creditapp.ledger import outbox
from tests.ledger.cast import DAY, START, Person


def test_a_spend_takes_credits_and_writes_an_entry(alice: Person) -> None:
    alice.gets(100)
    charge = alice.spends(30, note="a red fox")
    assert (charge.state, charge.captured_micro, charge.available_micro) == ("captured", 30, 70)
    line = alice.lines()[0]
    assert line.id == charge.entry_id
    assert (line.type, line.amount_micro, line.balance_after_micro) == ("DEBIT", -30, 70)
    assert (line.operation, line.note) == ("image", "a red fox")


def test_the_same_key_spends_once(alice: Person) -> None:
    alice.gets(100)
    first = alice.spends(30, key="generation:1")
    again = alice.spends(30, key="generation:1")
    assert (again.id, again.entry_id, again.replayed) == (first.id, first.entry_id, True)
    assert alice.available() == 70


def test_the_same_key_replays_even_when_no_credits_are_left(alice: Person) -> None:
    alice.gets(30)
    alice.spends(30, key="generation:1")
    assert alice.spends(30, key="generation:1").replayed


def test_the_same_key_for_another_request_is_refused(alice: Person) -> None:
    alice.gets(100)
    alice.spends(30, key="generation:1")
    with pytest.raises(ledger.IdempotencyKeyReused):
        alice.spends(30, key="generation:1", digest="another")
    assert alice.available() == 70


def test_two_people_may_use_the_same_key(alice: Person, bob: Person) -> None:
    for person in (alice, bob):
        person.gets(10)
        assert not person.spends(10, key="generation:1").replayed


def test_a_spend_above_the_balance_is_refused_with_the_numbers(alice: Person) -> None:
    alice.gets(1_500_000)
    with pytest.raises(ledger.InsufficientCredits) as refusal:
        alice.spends(2_000_000)
    assert (refusal.value.status, refusal.value.code) == (402, "insufficient_credits")
    assert str(refusal.value.fields["balance"]) == "1.5"
    assert str(refusal.value.fields["required"]) == "2"
    assert str(refusal.value.fields["shortfall"]) == "0.5"


def test_after_a_refusal_the_transaction_can_continue(alice: Person) -> None:
    alice.gets(10, scope="video")
    alice.gets(5)
    with pytest.raises(ledger.InsufficientCredits):
        alice.spends(8, "image", key="generation:1")
    alice.gets(10)
    assert not alice.spends(8, "image", key="generation:1").replayed
    assert alice.available() == 17


def test_a_spend_outside_a_transaction_is_refused(engine: Engine) -> None:
    verbs: list[Callable[[Connection], object]] = [
        lambda connection: ledger.ensure_wallet(connection, "user", "bob", now=START),
        lambda connection: ledger.grant(
            connection,
            1,
            ledger.NewGrant(amount_micro=1, source="gift", origin="gift:1"),
            now=START,
        ),
        lambda connection: ledger.spend(
            connection,
            1,
            ledger.NewCharge(amount_micro=1, key="k", digest="d", operation="image"),
            now=START,
        ),
        lambda connection: ledger.release(connection, 1, now=START),
    ]
    with engine.connect() as connection:
        for verb in verbs:
            with pytest.raises(WriteOutsideTransaction, match="writes need `with transaction"):
                verb(connection)


def test_an_unknown_wallet_is_not_found(connection: Connection) -> None:
    with pytest.raises(NotFound):
        ledger.spend(
            connection,
            404,
            ledger.NewCharge(amount_micro=1, key="k", digest="d", operation="image"),
            now=START,
        )
    with pytest.raises(NotFound):
        ledger.balance(connection, 404, now=START)
    with pytest.raises(NotFound):
        ledger.capture(connection, 404, 1, now=START)


def test_a_plans_month_is_spent_before_a_gift_without_expiry_and_a_pack_last(alice: Person) -> None:
    pack = alice.buys(10)
    welcome = alice.gets(10, source="welcome")
    month = alice.gets(10, source="subscription", expires_at=START + 40 * DAY)
    promotion = alice.gets(10, source="promotion", expires_at=START + 2 * DAY)
    for spent in (promotion, month, welcome, pack):
        alice.spends(10)
        assert alice.grant(spent.id).remaining_micro == 0


def test_credits_are_spent_by_priority_then_expiry_then_scope_then_age(alice: Person) -> None:
    last = alice.buys(10)
    by_priority = alice.gets(10, priority=5)
    sooner = alice.gets(10, priority=7, expires_at=START + DAY)
    later = alice.gets(10, priority=7, expires_at=START + 2 * DAY)
    narrow = alice.gets(10, priority=8, scope="image")
    wide = alice.gets(10, priority=8)
    wide_too = alice.gets(10, priority=8)
    used = []
    for _ in range(7):
        alice.spends(10)
        used += [
            grant.id
            for grant in (last, by_priority, sooner, later, narrow, wide, wide_too)
            if alice.grant(grant.id).remaining_micro == 0 and grant.id not in used
        ]
    order = (by_priority, sooner, later, narrow, wide, wide_too, last)
    assert used == [grant.id for grant in order]


def test_a_charge_may_take_from_many_grants(alice: Person, connection: Connection) -> None:
    for _ in range(5):
        alice.gets(10)
    charge = alice.spends(42)
    rows = connection.execute(
        text(
            "SELECT offset_micro, amount_micro FROM allocations WHERE charge_id = :id ORDER BY"
            " offset_micro"
        ),
        {"id": charge.id},
    ).all()
    assert [tuple(row) for row in rows] == [(0, 10), (10, 10), (20, 10), (30, 10), (40, 2)]


def test_a_low_balance_is_an_event_once_when_it_is_crossed(
    alice: Person, connection: Connection
) -> None:
    alice.gets(100)
    alice.spends(80, low_micro=20)  # 20 left: not below
    assert not outbox.claim(connection, ["low_balance"], 10, now=START)
    alice.holds(1, low_micro=20)
    alice.spends(1, low_micro=20)
    (event,) = outbox.claim(connection, ["low_balance"], 10, now=START)
    assert (event.wallet_id, event.payload["available_micro"]) == (alice.wallet, 19)
