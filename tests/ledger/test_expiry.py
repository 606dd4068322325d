"""Expiry of credits, and the freeze that stops it."""

from __future__ import annotations

import pytest

from creditapp import ledger
from tests.ledger.cast import DAY, START, Person


def test_expired_credits_are_not_spent_without_a_sweeper(alice: Person) -> None:
    alice.gets(10, expires_at=START + DAY)
    with pytest.raises(ledger.InsufficientCredits) as refusal:
        alice.spends(5, at=START + DAY)
    assert refusal.value.balance_micro == 0
    assert [line.type for line in alice.lines()] == ["EXPIRY", "CREDIT"]


def test_a_frozen_wallet_spends_nothing_and_loses_no_time(alice: Person) -> None:
    grant = alice.gets(10, expires_at=START + 2 * DAY)
    held = alice.holds(4)
    ledger.freeze_wallet(alice.connection, alice.wallet, now=START + DAY)
    with pytest.raises(ledger.AccountFrozen):
        alice.spends(1, at=START + DAY)
    with pytest.raises(ledger.AccountFrozen):
        alice.holds(1, at=START + DAY)
    ledger.capture(alice.connection, held.id, 3, now=START + DAY)  # a hold may still end
    assert alice.available(START + 30 * DAY) == 7
    ledger.unfreeze_wallet(alice.connection, alice.wallet, now=START + 30 * DAY)
    assert alice.grant(grant.id).expires_at == START + 31 * DAY
    alice.spends(7, at=START + 30 * DAY)


def test_the_expiry_job_finds_wallets_in_which_something_has_expired(
    alice: Person, bob: Person
) -> None:
    alice.gets(10, expires_at=START + DAY)
    bob.gets(10, expires_at=START + 3 * DAY)
    at = START + 2 * DAY
    assert ledger.due_wallets(alice.connection, now=at) == [alice.wallet]
    assert ledger.expire(alice.connection, alice.wallet, now=at) == 10
    assert ledger.due_wallets(alice.connection, now=at) == []
    line = alice.lines()[0]
    assert (line.type, line.effective_at, line.created_at) == ("EXPIRY", START + DAY, at)
