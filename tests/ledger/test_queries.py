"""Reads: balance, summary, statement; and grants by origin."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from creditapp import ledger
from creditapp.ledger.lineage import RETURN_LIFETIME
from tests.ledger.cast import DAY, START, Person


def test_a_balance_subtracts_expired_credits_without_writing(
    alice: Person, connection: Connection
) -> None:
    alice.gets(10, expires_at=START + DAY)
    alice.gets(3)
    assert alice.available(START + DAY) == 3
    assert ledger.spendable(connection, alice.wallet, "image", now=START + DAY) == 3
    assert len(alice.lines()) == 2


def test_a_lapsed_hold_counts_as_returned_before_the_sweep(
    alice: Person, connection: Connection
) -> None:
    """A read computes what the sweep then writes, for each operation too."""
    lapses = START + 2 * DAY
    alice.gets(10, scope="image", expires_at=START + DAY)
    alice.holds(6, expires_at=lapses)
    frozen = alice.buys(10)
    alice.holds(9, expires_at=lapses)  # the last 4 for images, 5 of the purchase
    ledger.freeze(connection, frozen.id, now=START)

    def reads(at: datetime) -> tuple[int, ...]:
        balance = alice.balance(at)
        operations = [
            ledger.spendable(connection, alice.wallet, operation, now=at)
            for operation in ("image", "video")
        ]
        return (balance.available_micro, balance.held_micro, balance.frozen_micro, *operations)

    assert reads(START) == (0, 15, 5, 0, 0)
    assert reads(lapses - DAY) == (0, 15, 5, 0, 0)
    # The credits for images had expired: they return for some days, for images alone.
    assert reads(lapses) == (10, 0, 10, 10, 0)
    assert reads(lapses + RETURN_LIFETIME - DAY) == (10, 0, 10, 10, 0)
    assert reads(lapses + RETURN_LIFETIME) == (0, 0, 10, 0, 0)
    ledger.expire(connection, alice.wallet, now=lapses)
    assert reads(lapses) == (10, 0, 10, 10, 0)
    assert reads(lapses + RETURN_LIFETIME) == (0, 0, 10, 0, 0)


def test_credits_that_expire_after_their_hold_lapsed_are_lost(
    alice: Person, connection: Connection
) -> None:
    alice.gets(10, expires_at=START + 2 * DAY)
    alice.holds(6, expires_at=START + DAY)
    for at, available_micro in ((START + DAY, 10), (START + 2 * DAY, 0)):
        assert alice.available(at) == available_micro
        assert ledger.spendable(connection, alice.wallet, "image", now=at) == available_micro
    ledger.expire(connection, alice.wallet, now=START + 2 * DAY)
    assert alice.available(START + 2 * DAY) == 0


def test_a_wallet_names_its_owner(alice: Person, connection: Connection) -> None:
    assert ledger.owner(connection, alice.wallet) == ("user", "alice")


def test_a_lapsed_hold_first_pays_what_its_grant_owes(
    alice: Person, connection: Connection
) -> None:
    lapses = START + DAY
    grant = alice.buys(20)
    alice.holds(7, expires_at=lapses)
    alice.holds(8, expires_at=lapses)
    ledger.revoke(connection, grant.id, 15, now=START, reason="refund")

    def reads() -> tuple[int, ...]:
        balance = alice.balance(lapses)
        spendable = ledger.spendable(connection, alice.wallet, "image", now=lapses)
        return balance.available_micro, balance.held_micro, balance.owed_micro, spendable

    assert alice.balance().owed_micro == 10
    assert reads() == (5, 0, 0, 5)
    ledger.expire(connection, alice.wallet, now=lapses)
    assert reads() == (5, 0, 0, 5)


def test_a_frozen_wallet_can_spend_nothing(alice: Person, connection: Connection) -> None:
    alice.gets(10)
    ledger.freeze_wallet(connection, alice.wallet, now=START)
    assert ledger.spendable(connection, alice.wallet, "image", now=START) == 0


def test_the_statement_has_pages_and_types(alice: Person) -> None:
    alice.buys(50)
    alice.gets(10, expires_at=START + DAY)
    charge = alice.spends(20)
    ledger.refund(alice.connection, charge.id, down_to_micro=15, now=START)
    ledger.expire(alice.connection, alice.wallet, now=START + DAY)
    first = ledger.statement(alice.connection, alice.wallet, limit=2)
    rest = ledger.statement(alice.connection, alice.wallet, limit=9, before_seq=first[-1].seq)
    types = [line.type for line in first + rest]
    assert types == ["REFUND", "DEBIT", "CREDIT", "PURCHASE"]
    assert [line.amount_micro for line in alice.lines("DEBIT")] == [-20]
    assert [line.amount_micro for line in alice.lines("REFUND")] == [5]


def test_the_summary_lists_the_credits_that_expire(alice: Person) -> None:
    alice.buys(50)
    alice.gets(10, expires_at=START + DAY)
    alice.gets(7, "promotion", expires_at=START + DAY)
    alice.gets(5, "promotion", expires_at=START + 2 * DAY)
    alice.spends(2)
    summary = ledger.summary(alice.connection, alice.wallet, now=START)
    assert [(credits.amount_micro, credits.expires_at) for credits in summary.expiring] == [
        (15, START + DAY),
        (5, START + 2 * DAY),
    ]
    balance = summary.balance
    assert balance.lifetime_granted_micro == 72
    assert balance.lifetime_welcome_micro == 10
    assert balance.lifetime_purchased_micro == 50


def test_an_origin_is_granted_once_over_all_wallets(alice: Person, bob: Person) -> None:
    def grant(person: Person) -> ledger.Grant | None:
        return ledger.grant(
            person.connection,
            person.wallet,
            ledger.NewGrant(amount_micro=10, source="welcome", origin="welcome:h"),
            now=START,
        )

    assert grant(alice) is not None
    assert grant(alice) is None
    assert grant(bob) is None
    assert (alice.available(), bob.available()) == (10, 0)
