"""Ways in which credit stores have lost or invented money, each as a scenario that ends well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from creditapp import ledger
from creditapp.clock import NEVER
from creditapp.db import transaction
from tests.ledger.cast import DAY, START, Person, prove

Revoke = Callable[..., ledger.Reversal]
LATE = START + 20 * DAY


def transfer(person: Person, to: Person, amount: int, key: str = "gift") -> ledger.Transfer:
    return ledger.transfer(person.connection, person.wallet, to.wallet, amount, key=key, now=LATE)


# Refund overtakes grant: payments post cumulative totals, so order does not matter.


def test_the_same_refund_posted_twice_takes_once(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(110)
    assert revoke(grant, 30).revoked_micro == 30
    assert revoke(grant, 30).revoked_micro == 30
    assert revoke(grant, 110).revoked_micro == 110
    assert alice.available() == 0


def test_refunds_in_parts_end_where_one_refund_ends(
    alice: Person, bob: Person, revoke: Revoke
) -> None:
    for person, totals in ((alice, (10, 40, 90)), (bob, (90,))):
        grant = person.buys(100)
        person.spends(30)
        for total in totals:
            revoke(grant, total)
    for person in (alice, bob):
        balance = person.balance()
        assert (balance.available_micro, balance.owed_micro) == (0, 20)


def test_a_refund_that_failed_restores_the_credits(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(100)
    alice.spends(30)
    revoke(grant, 100)
    assert (alice.available(), alice.balance().owed_micro) == (0, 30)
    revoke(grant, 0)
    assert (alice.available(), alice.balance().owed_micro) == (70, 0)


def test_more_than_a_grant_had_cannot_be_revoked(alice: Person, revoke: Revoke) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        revoke(alice.buys(100), 101)


# Credits escape chargebacks: a transfer keeps the root.


def test_a_chargeback_follows_transferred_credits(
    alice: Person, bob: Person, revoke: Revoke
) -> None:
    grant = alice.buys(650)
    transfer(alice, bob, 600)
    bob.spends(100, at=LATE)
    result = revoke(grant, 650, at=LATE)
    assert (result.revoked_micro, result.owed_micro) == (550, 100)
    assert (alice.available(), bob.available()) == (0, 0)
    assert bob.balance().owed_micro == 100


def test_a_transfer_keeps_scope_expiry_and_its_share_of_the_price(
    alice: Person, bob: Person
) -> None:
    ends = START + 60 * DAY
    parent = alice.gets(
        30, "purchase", paid_minor=1000, currency="USD", expires_at=ends, scope="image"
    )
    children = [transfer(alice, bob, 10, key=f"gift:{n}").grant_ids[0] for n in range(3)]
    grants = [bob.grant(child) for child in children]
    assert {(g.source, g.scope, g.expires_at, g.root_grant_id) for g in grants} == {
        ("purchase", "image", ends, parent.id)
    }
    assert sum(g.paid_minor or 0 for g in grants) == 1000


def test_free_and_fresh_credits_are_not_transferred(alice: Person, bob: Person) -> None:
    alice.gets(50)
    alice.buys(50, at=LATE - DAY)
    with pytest.raises(ledger.InsufficientCredits) as refusal:
        transfer(alice, bob, 1)
    assert refusal.value.balance_micro == 0


def test_a_repeated_transfer_moves_credits_once(alice: Person, bob: Person) -> None:
    alice.buys(50)
    first = transfer(alice, bob, 20)
    again = transfer(alice, bob, 20)
    assert (again.grant_ids, again.replayed) == (first.grant_ids, True)
    with pytest.raises(ledger.IdempotencyKeyReused):
        transfer(alice, bob, 21)
    assert (alice.available(), bob.available()) == (30, 20)


def test_a_dispute_freezes_a_purchase_in_every_wallet(
    alice: Person, bob: Person, connection: Connection
) -> None:
    grant = alice.buys(100)
    transfer(alice, bob, 40)
    ledger.freeze(connection, grant.id, now=LATE)
    for person, amount in ((alice, 60), (bob, 40)):
        assert (person.available(LATE), person.balance(LATE).frozen_micro) == (0, amount)
        with pytest.raises(ledger.InsufficientCredits):
            person.spends(1, at=LATE)
    ledger.unfreeze(connection, grant.id, now=LATE + DAY)
    assert (alice.available(LATE), bob.available(LATE)) == (60, 40)


# Frozen and owed balances follow from the rows.


def test_a_frozen_purchase_is_still_in_the_total(alice: Person, connection: Connection) -> None:
    grant = alice.buys(110)
    ledger.freeze(connection, grant.id, now=START)
    balance = alice.balance()
    assert (balance.available_micro, balance.frozen_micro, balance.total_micro) == (0, 110, 110)
    assert alice.lines()[0].balance_after_micro == 110


# Release after refund: returned credits pay what is owed.


def test_a_generation_that_fails_after_a_refund_pays_what_is_owed(
    alice: Person, revoke: Revoke
) -> None:
    grant = alice.buys(110)
    held = alice.holds(30)
    result = revoke(grant, 110)
    assert (result.revoked_micro, result.owed_micro) == (80, 30)
    ledger.release(alice.connection, held.id, now=START)
    balance = alice.balance()
    assert (balance.available_micro, balance.owed_micro, balance.total_micro) == (0, 0, 0)


def test_the_next_purchase_pays_what_is_owed_and_a_gift_does_not(
    alice: Person, revoke: Revoke
) -> None:
    grant = alice.buys(50)
    alice.spends(50)
    revoke(grant, 50)
    alice.gets(10)
    assert (alice.available(), alice.balance().owed_micro) == (10, 50)
    alice.buys(30)
    assert (alice.available(), alice.balance().owed_micro) == (10, 20)
    alice.buys(30)
    assert (alice.available(), alice.balance().owed_micro) == (20, 0)
    assert alice.balance().lifetime_spent_micro == 50  # paying a debt is no usage


def test_a_won_dispute_undoes_the_debts_that_were_paid(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(50)
    alice.spends(50)
    revoke(grant, 50)
    alice.buys(30)
    assert (alice.available(), alice.balance().owed_micro) == (0, 20)
    revoke(grant, 0)
    assert (alice.available(), alice.balance().owed_micro) == (30, 0)


def test_a_debt_cannot_be_refunded_like_usage(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(50)
    alice.spends(50)
    revoke(grant, 50)
    alice.buys(30)
    debt = next(line for line in alice.lines() if line.kind == "debt")
    assert debt.charge_id is not None
    with pytest.raises(ledger.ChargeSettled):
        ledger.refund(alice.connection, debt.charge_id, down_to_micro=0, now=START)


# Hold expiry versus capture.


def test_a_generations_hold_does_not_expire(alice: Person) -> None:
    alice.gets(30)
    held = alice.holds(30)
    with pytest.raises(ledger.InsufficientCredits):
        alice.spends(1, at=START + 365 * DAY)
    ledger.capture(alice.connection, held.id, 30, now=START + 365 * DAY)


def test_an_api_hold_lapses_and_cannot_be_captured_late(alice: Person) -> None:
    alice.gets(30)
    ends = START + timedelta(minutes=10)
    held = alice.holds(30, expires_at=ends)
    assert alice.available(ends) == 30  # read before any sweep
    alice.spends(30, at=ends)
    with pytest.raises(ledger.HoldExpired):
        ledger.capture(alice.connection, held.id, 30, now=ends)
    assert ledger.release(alice.connection, held.id, now=ends).state == "released"


# Credits that return to an expired grant.


def test_a_slow_failure_returns_credits_that_can_still_be_spent(alice: Person) -> None:
    alice.gets(30, expires_at=START + DAY, scope="image")
    held = alice.holds(20)
    at = START + 3 * DAY
    ledger.release(alice.connection, held.id, now=at)
    assert alice.available(at) == 20
    (late,) = ledger.list_grants(alice.connection, alice.wallet)
    assert (late.source, late.scope, late.expires_at) == ("refund", "image", at + 7 * DAY)
    alice.spends(20, at=at + 6 * DAY)


def test_a_late_refund_of_usage_can_be_spent_for_seven_days(alice: Person) -> None:
    alice.gets(30, expires_at=START + DAY)
    charge = alice.spends(30)
    at = START + 90 * DAY
    ledger.refund(alice.connection, charge.id, down_to_micro=10, now=at)
    assert alice.available(at) == 20
    assert alice.available(at + 7 * DAY) == 0


def test_a_dispute_won_after_75_days_adds_the_frozen_time(
    alice: Person, connection: Connection
) -> None:
    grant = alice.buys(30, expires_at=START + 30 * DAY)
    ledger.freeze(connection, grant.id, now=START + 10 * DAY)
    ledger.expire(connection, alice.wallet, now=START + 80 * DAY)
    ledger.unfreeze(connection, grant.id, now=START + 85 * DAY)
    assert alice.grant(grant.id).expires_at == START + 105 * DAY
    assert alice.available(START + 104 * DAY) == 30


def test_expired_credits_are_not_owed(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(100, expires_at=START + DAY)
    alice.spends(30)
    result = revoke(grant, 100, at=START + 2 * DAY)
    assert (result.revoked_micro, result.owed_micro) == (0, 30)


# Scope versus one balance.


def test_a_refusal_names_the_balance_that_may_pay_for_the_operation(alice: Person) -> None:
    alice.gets(50, scope="image")
    alice.gets(10)
    with pytest.raises(ledger.InsufficientCredits) as refusal:
        alice.spends(25, "video")
    assert (refusal.value.balance_micro, refusal.value.shortfall_micro) == (10, 15)
    assert ledger.spendable(alice.connection, alice.wallet, "image", now=START) == 60


def test_credits_without_expiry_are_spent_last_on_both_databases(alice: Person) -> None:
    forever = alice.gets(10)
    dated = alice.gets(10, expires_at=START + 9 * DAY)
    alice.spends(10)
    assert alice.grant(forever.id).remaining_micro == 10
    assert alice.grant(dated.id).remaining_micro == 0
    assert alice.grant(forever.id).expires_at == NEVER


# The history cannot be changed, but a person's notes can be erased.


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET amount_micro = amount_micro + 1",
        "DELETE FROM entries",
        "TRUNCATE entries CASCADE",
        "REPLACE INTO entries SELECT * FROM entries",
        "REPLACE INTO entries (rowid, wallet_id, seq, kind, account, amount_micro,"
        " balance_after_micro, effective_at, recorded_at) SELECT rowid, wallet_id, 9, kind,"
        " account, 7, 7, effective_at, recorded_at FROM entries",
    ],
)
def test_the_history_refuses_change(engine: Engine, change: str) -> None:
    if change.startswith("TRUNCATE" if engine.dialect.name == "sqlite" else "REPLACE"):
        change = "DELETE FROM entries WHERE seq = 1"  # the other database's own statement
    with transaction(engine) as session:
        Person(session.connection(), "alice").gets(10)
    with pytest.raises(DBAPIError, match="append-only"), transaction(engine) as session:
        session.connection().exec_driver_sql(change)
    with transaction(engine) as session:
        prove(session.connection())
        assert Person(session.connection(), "alice").available() == 10


def test_a_persons_notes_can_be_erased(alice: Person, connection: Connection) -> None:
    alice.gets(10, note="from Grandma")
    alice.spends(3, note="a portrait of Grandma")
    connection.execute(text("DELETE FROM notes WHERE wallet_id = :id"), {"id": alice.wallet})
    assert [line.note for line in alice.lines()] == [None, None]


# Differences between the databases.


def test_sums_are_plain_integers_on_both_databases(alice: Person, connection: Connection) -> None:
    alice.gets(10)
    alice.gets(5, expires_at=START + DAY)
    alice.holds(3)
    for at in (START, START + 2 * DAY):
        balance = alice.balance(at)
        assert type(balance.available_micro) is int
        assert type(balance.held_micro) is int
        assert type(ledger.spendable(connection, alice.wallet, "image", now=at)) is int


def test_times_are_read_in_utc(alice: Person) -> None:
    grant = alice.gets(10, expires_at=START + DAY)
    assert grant.expires_at == START + DAY
    assert grant.expires_at.utcoffset() == timedelta(0)
    charge = alice.spends(1)
    stored = ledger.charge_by_id(alice.connection, charge.id)
    assert (stored.created_at, stored.settled_at) == (charge.created_at, charge.settled_at)
