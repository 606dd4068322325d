"""Reversals: what a revoked total takes, and what a smaller total gives back."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from creditapp import ledger
from creditapp.ledger.lineage import RETURN_LIFETIME
from tests.ledger.cast import DAY, START, Person

Revoke = Callable[..., ledger.Reversal]


def numbers(reversal: ledger.Reversal) -> tuple[int, int, int]:
    """Return what is revoked, owed and repaid."""
    return reversal.revoked_micro, reversal.owed_micro, reversal.repaid_micro


def test_a_smaller_total_cancels_debts_then_repayments_then_restores(
    alice: Person, revoke: Revoke
) -> None:
    grant = alice.buys(70)
    alice.spends(50)
    assert numbers(revoke(grant, 70)) == (20, 50, 0)
    older, newer = alice.buys(20), alice.buys(10)
    assert numbers(revoke(grant, 70)) == (20, 20, 30)

    assert numbers(revoke(grant, 65)) == (20, 15, 30)
    assert (alice.available(), alice.balance().owed_micro) == (0, 15)
    # The newest repayment is undone first.
    assert numbers(revoke(grant, 44)) == (20, 0, 24)
    assert (alice.grant(older.id).remaining_micro, alice.grant(newer.id).remaining_micro) == (0, 6)
    assert numbers(revoke(grant, 35)) == (20, 0, 15)
    assert (alice.grant(older.id).remaining_micro, alice.grant(newer.id).remaining_micro) == (5, 10)
    assert numbers(revoke(grant, 8)) == (8, 0, 0)
    assert alice.grant(grant.id).remaining_micro == 12
    assert alice.available() == 12 + 20 + 10
    restored = [line.amount_micro for line in alice.lines() if line.kind == "restore"]
    assert restored == [12, 15, 5, 4, 6]


def test_a_larger_total_again_takes_what_was_given_back(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(50)
    alice.spends(30)
    for total, left in ((50, (20, 30, 0)), (10, (10, 0, 0)), (50, (20, 30, 0)), (0, (0, 0, 0))):
        assert numbers(revoke(grant, total)) == left
    assert (alice.available(), alice.balance().owed_micro) == (20, 0)


def test_expired_credits_are_revoked_without_a_debt(alice: Person, revoke: Revoke) -> None:
    grant = alice.buys(50, expires_at=START + DAY)
    alice.spends(20)
    late = START + 2 * DAY
    ledger.expire(alice.connection, alice.wallet, now=late)  # 30 expire
    assert numbers(revoke(grant, 25, late)) == (0, 0, 0)
    assert numbers(revoke(grant, 40, late)) == (0, 10, 0)
    assert numbers(revoke(grant, 35, late)) == (0, 5, 0)
    assert numbers(revoke(grant, 25, late)) == (0, 0, 0)
    assert numbers(revoke(grant, 50, late)) == (0, 20, 0)
    assert alice.balance(late).owed_micro == 20


def test_credits_restored_after_their_expiry_live_for_some_days(
    alice: Person, revoke: Revoke
) -> None:
    grant = alice.buys(50, expires_at=START + DAY)
    revoke(grant, 30)
    late = START + 2 * DAY
    revoke(grant, 10, late)
    assert alice.available(late) == 20
    assert alice.available(late + RETURN_LIFETIME) == 0
    assert (alice.grant(grant.id).revoked_micro, alice.grant(grant.id).remaining_micro) == (10, 0)


def test_credits_restored_to_a_frozen_purchase_stay_frozen(
    alice: Person, revoke: Revoke, connection: Connection
) -> None:
    grant = alice.buys(50, expires_at=START + 9 * DAY)
    ledger.freeze(connection, grant.id, now=START)
    revoke(grant, 30)
    assert (alice.available(), alice.balance().frozen_micro) == (0, 20)
    revoke(grant, 5)
    assert (alice.available(), alice.balance().frozen_micro) == (0, 45)
    ledger.unfreeze(connection, grant.id, now=START + 2 * DAY)
    assert (alice.available(START + 10 * DAY), alice.available(START + 11 * DAY)) == (45, 0)


def test_a_purchase_frozen_twice_counts_once(alice: Person, connection: Connection) -> None:
    grant = alice.buys(50)
    for _ in range(2):
        ledger.freeze(connection, grant.id, now=START)
        assert (alice.available(), alice.balance().frozen_micro) == (0, 50)
    for _ in range(2):
        ledger.unfreeze(connection, grant.id, now=START)
        assert (alice.available(), alice.balance().frozen_micro) == (50, 0)
