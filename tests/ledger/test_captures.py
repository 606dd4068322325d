"""Captures, releases and refunds: how a charge ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from creditapp import ledger
from creditapp.ledger import outbox
from tests.ledger.cast import DAY, START, Person


def test_a_hold_sets_credits_aside_and_its_capture_returns_the_rest(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    balance = alice.balance()
    assert (balance.available_micro, balance.held_micro, balance.total_micro) == (60, 40, 100)
    captured = ledger.capture(alice.connection, held.id, 25, now=START)
    assert (captured.state, captured.captured_micro, captured.available_micro) == (
        "captured",
        25,
        75,
    )
    assert alice.balance().held_micro == 0
    assert alice.balance().lifetime_spent_micro == 25


@pytest.mark.parametrize("captured_micro", [40, 25], ids=["whole", "part"])
def test_a_capture_whole_or_of_a_part_leaves_the_same_rows(
    alice: Person, captured_micro: int
) -> None:
    alice.gets(100)
    held = alice.holds(40, note="Of the hold", expires_at=START + DAY, feature="summaries")
    captured = ledger.capture(alice.connection, held.id, captured_micro, now=START, note="Used")
    assert captured == replace(
        held,
        captured_micro=captured_micro,
        state="captured",
        settled_at=START,
        entry_seq=2,
        available_micro=100 - captured_micro,
    )
    assert captured == ledger.charge_by_id(alice.connection, held.id)
    line = alice.lines()[0]
    assert (line.id, line.amount_micro, line.type) == (captured.entry_id, -captured_micro, "DEBIT")
    assert (line.balance_after_micro, line.note) == (100 - captured_micro, "Used")
    (event,) = outbox.claim(alice.connection, ["captured"], 10, now=START)
    assert event.wallet_id == alice.wallet
    assert event.payload == {"charge": held.id, "key": held.key, "amount_micro": captured_micro}


def test_a_hold_that_has_lapsed_is_not_captured_whole(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40, expires_at=START + DAY)
    with pytest.raises(ledger.HoldExpired):
        ledger.capture(alice.connection, held.id, 40, now=START + DAY)
    assert alice.balance().held_micro == 0
    assert alice.available() == 100


def test_a_released_hold_is_an_entry_of_0(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    ledger.release(alice.connection, held.id, now=START)
    line = alice.lines()[0]
    assert (line.amount_micro, line.balance_after_micro, line.type) == (0, 100, "REFUND")
    assert alice.available() == 100


def test_capturing_nothing_is_a_release(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    assert ledger.capture(alice.connection, held.id, 0, now=START).state == "released"


def test_a_charge_ends_once(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    ledger.capture(alice.connection, held.id, 25, now=START)
    assert ledger.capture(alice.connection, held.id, 25, now=START).captured_micro == 25
    with pytest.raises(ledger.ChargeSettled):
        ledger.capture(alice.connection, held.id, 20, now=START)
    with pytest.raises(ledger.ChargeSettled):
        ledger.release(alice.connection, held.id, now=START)
    assert alice.available() == 75


def test_a_capture_above_the_hold_is_refused(alice: Person) -> None:
    alice.gets(100)
    held = alice.holds(40)
    with pytest.raises(ValueError, match="at most"):
        ledger.capture(alice.connection, held.id, 41, now=START)


def test_refunds_go_down_step_by_step(alice: Person) -> None:
    alice.gets(20)
    alice.gets(20)
    charge = alice.spends(35)
    ledger.refund(alice.connection, charge.id, down_to_micro=25, now=START)
    assert alice.available() == 15
    ledger.refund(
        alice.connection, charge.id, down_to_micro=30, now=START
    )  # less is captured already
    assert alice.available() == 15
    ledger.refund(alice.connection, charge.id, down_to_micro=0, now=START)
    assert alice.available() == 40
    assert [line.amount_micro for line in alice.lines("REFUND")] == [25, 10]
    assert alice.balance().lifetime_spent_micro == 0


def test_an_open_hold_cannot_be_refunded(alice: Person) -> None:
    alice.gets(20)
    with pytest.raises(ledger.ChargeSettled):
        ledger.refund(alice.connection, alice.holds(5).id, down_to_micro=0, now=START)
