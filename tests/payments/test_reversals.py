"""Refunds and disputes: the ledger follows what Stripe says in total, however it is told."""

from __future__ import annotations

from datetime import timedelta

from creditapp.clock import NEVER
from creditapp.payments import checkout
from tests.payments.till import COMPLETED, CREATOR, Till, house, till, values

__all__ = ["house", "till"]

MICRO = 1_000_000


def test_a_full_refund_takes_the_credits_back(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.refund(purchase)
    till.deliver(purchase)
    assert till.credits(alice) == 0
    assert till.row(purchase).refunded_minor == 1499


def test_refunds_in_parts_add_up_to_the_whole(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    back = 0
    for text, minor in (("3.33", 333), ("0.01", 1), ("4.99", 499), ("6.66", 666)):
        till.refund(purchase, text)
        till.deliver(purchase, "refund.created")
        back += minor
        left = CREATOR * MICRO - CREATOR * MICRO * back // 1499
        assert till.balance(alice).available_micro == 50 * MICRO + left
    assert (back, till.credits(alice)) == (1499, 0)


def test_a_refund_of_a_taxed_payment_takes_its_share(till: Till) -> None:
    """Of $17.99 with tax, $8.995 would be a half: shares are of what was paid in total."""
    alice = till.member()
    purchase = till.start(alice)
    till.alter(purchase, amount_total=1798)
    till.pay(purchase)
    till.sync(purchase)
    till.refund(purchase, "8.99")
    till.sync(purchase)
    assert till.credits(alice) == CREATOR / 2
    till.refund(purchase)
    till.sync(purchase)
    assert till.credits(alice) == 0


def test_a_refund_that_fails_later_gives_the_credits_again(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    part, rest = till.refund(purchase, "5.00"), till.refund(purchase)
    till.deliver(purchase, "charge.refunded")
    assert till.credits(alice) == 0
    till.press(f"/refunds/{rest}/fail")
    till.deliver(purchase, "refund.failed")
    kept = CREATOR * MICRO - CREATOR * MICRO * 500 // 1499
    assert till.balance(alice).available_micro == 50 * MICRO + kept
    till.press(f"/refunds/{part}/fail")
    till.deliver(purchase, "refund.updated")
    assert till.credits(alice) == CREATOR
    assert till.row(purchase).refunded_minor == 0


def test_what_was_spent_before_the_refund_is_owed_and_paid_by_the_next_pack(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.spend(alice, 150)  # the 50 welcome credits and 100 of the pack's
    till.refund(purchase)
    till.deliver(purchase)
    has = till.balance(alice)
    assert (has.available_micro, has.owed_micro) == (0, 100 * MICRO)

    till.bought(alice)
    has = till.balance(alice)
    assert (has.available_micro, has.owed_micro) == (10 * MICRO, 0)


def test_a_refund_that_fails_after_its_debt_was_paid_gives_back_the_payment(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.spend(alice, 150)
    refund = till.refund(purchase)
    till.sync(purchase)
    till.bought(alice)
    till.press(f"/refunds/{refund}/fail")
    till.sync(purchase)
    has = till.balance(alice)
    assert (has.available_micro, has.owed_micro) == ((10 + CREATOR) * MICRO, 0)


def test_a_refund_told_before_the_payment_grants_and_takes_back(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    till.refund(purchase, "7.49")
    for kind in ("refund.created", "charge.refunded", COMPLETED):
        till.deliver(purchase, kind)
    left = CREATOR * MICRO - CREATOR * MICRO * 749 // 1499
    assert till.balance(alice).available_micro == 50 * MICRO + left
    assert till.grants(purchase) == 1


def test_a_refund_that_is_told_while_its_payment_is_noted_is_not_lost(till: Till) -> None:
    """The refund's event finds no payment of ours yet, and the sync had read Stripe before it."""
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    told = []

    def refund_meanwhile(name: str) -> None:
        if name == "retrieve_checkout" and not told:
            till.refund(purchase)
            told.append(till.event(purchase, "refund.created"))
            assert till.send(told[0]).status_code == 200

    till.line.after = refund_meanwhile
    till.sync(purchase)
    till.line.after = lambda name: None
    assert till.credits(alice) == CREATOR
    till.sweep(after=timedelta(seconds=6))
    assert till.credits(alice) == 0
    event = till.stored(told[0])
    assert event
    assert event.state == "done"


def test_a_dispute_freezes_and_winning_it_returns(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    dispute = till.dispute(purchase)
    till.deliver(purchase, "charge.dispute.created")
    has = till.balance(alice)
    assert (has.available_micro, has.frozen_micro) == (50 * MICRO, CREATOR * MICRO)

    till.press(f"/disputes/{dispute}/close", outcome="won")
    till.deliver(purchase, "charge.dispute.closed", "charge.dispute.funds_reinstated")
    has = till.balance(alice)
    assert (has.available_micro, has.frozen_micro) == ((50 + CREATOR) * MICRO, 0)


def test_a_dispute_lost_takes_the_credits_and_what_was_spent_is_owed(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.spend(alice, 80)  # 50 free ones and 30 of the pack's
    dispute = till.dispute(purchase)
    till.deliver(purchase, "charge.dispute.created")
    assert till.balance(alice).frozen_micro == 80 * MICRO
    till.press(f"/disputes/{dispute}/close", outcome="lost")
    till.deliver(purchase, "charge.dispute.closed")
    has = till.balance(alice)
    assert (has.available_micro, has.frozen_micro, has.owed_micro) == (0, 0, 30 * MICRO)


def test_a_dispute_after_a_part_was_refunded_takes_no_more_than_was_paid(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.refund(purchase, "5.00")
    till.sync(purchase)
    dispute = till.dispute(purchase)
    till.sync(purchase)
    till.press(f"/disputes/{dispute}/close", outcome="lost")
    till.sync(purchase)
    assert till.row(purchase).refunded_minor == 1499
    assert till.credits(alice) == 0
    assert till.balance(alice).owed_micro == 0


def test_an_open_dispute_whose_end_is_never_told_is_asked_about_daily(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    dispute = till.dispute(purchase)
    till.deliver(purchase)
    till.press(f"/disputes/{dispute}/close", outcome="won")
    till.sweep(after=timedelta(days=1))
    assert till.credits(alice) == CREATOR
    assert till.row(purchase).next_sync_at == NEVER


def test_every_event_twice_and_backwards_ends_the_same(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    rest = till.refund(purchase, "4.99"), till.refund(purchase, "5.00")
    till.press(f"/refunds/{rest[1]}/fail")
    for event in [*reversed(till.events(purchase)), *till.events(purchase)]:
        assert till.send(event).status_code == 200
        assert till.send(event).status_code == 200
    left = CREATOR * MICRO - CREATOR * MICRO * 499 // 1499
    assert till.balance(alice).available_micro == 50 * MICRO + left
    assert till.grants(purchase) == 1


def test_reversals_at_once_with_the_grant_end_the_same(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    till.refund(purchase, "7.49")
    till.dispute(purchase)
    events = till.events(purchase)

    def sender(event: dict[str, object]) -> int:
        return till.send(event).status_code

    acts = [lambda e=each: sender(e) for each in events]
    assert set(values(till.at_once(*acts))) == {200}
    values(till.at_once(lambda: checkout.sync(purchase.id)))
    left = CREATOR * MICRO - CREATOR * MICRO * 749 // 1499
    has = till.balance(alice)
    assert (has.available_micro, has.frozen_micro) == (50 * MICRO, left)
    assert till.grants(purchase) == 1
