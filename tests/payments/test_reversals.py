"""Refunds and disputes: the ledger follows what Stripe says in total, however it is told."""

from __future__ import annotations

from datetime import timedelta

from creditapp.clock import NEVER
from creditapp.payments.purchases import checkout
from tests.shop_app import COMPLETED, CREATOR, ShopApp, values

MICRO = 1_000_000


def test_a_full_refund_takes_the_credits_back(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.refund(purchase)
    shop_app.deliver(purchase)
    assert shop_app.credits(alice) == 0
    assert shop_app.row(purchase).refunded_minor == 1499


def test_refunds_in_parts_add_up_to_the_whole(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    back = 0
    for text, minor in (("3.33", 333), ("0.01", 1), ("4.99", 499), ("6.66", 666)):
        shop_app.refund(purchase, text)
        shop_app.deliver(purchase, "refund.created")
        back += minor
        left = CREATOR * MICRO - CREATOR * MICRO * back // 1499
        assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    assert (back, shop_app.credits(alice)) == (1499, 0)


def test_a_refund_of_a_taxed_payment_takes_its_share(shop_app: ShopApp) -> None:
    """Of $17.99 with tax, $8.995 would be a half: shares are of what was paid in total."""
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.alter(purchase, amount_total=1798)
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    shop_app.refund(purchase, "8.99")
    shop_app.sync(purchase)
    assert shop_app.credits(alice) == CREATOR / 2
    shop_app.refund(purchase)
    shop_app.sync(purchase)
    assert shop_app.credits(alice) == 0


def test_a_refund_that_fails_later_gives_the_credits_again(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    part, rest = shop_app.refund(purchase, "5.00"), shop_app.refund(purchase)
    shop_app.deliver(purchase, "charge.refunded")
    assert shop_app.credits(alice) == 0
    shop_app.press(f"/refunds/{rest}/fail")
    shop_app.deliver(purchase, "refund.failed")
    kept = CREATOR * MICRO - CREATOR * MICRO * 500 // 1499
    assert shop_app.balance(alice).available_micro == 50 * MICRO + kept
    shop_app.press(f"/refunds/{part}/fail")
    shop_app.deliver(purchase, "refund.updated")
    assert shop_app.credits(alice) == CREATOR
    assert shop_app.row(purchase).refunded_minor == 0


def test_what_was_spent_before_the_refund_is_owed_and_paid_by_the_next_pack(
    shop_app: ShopApp,
) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.spend(alice, 150)  # the 50 welcome credits and 100 of the pack's
    shop_app.refund(purchase)
    shop_app.deliver(purchase)
    has = shop_app.balance(alice)
    assert (has.available_micro, has.owed_micro) == (0, 100 * MICRO)

    shop_app.bought(alice)
    has = shop_app.balance(alice)
    assert (has.available_micro, has.owed_micro) == (10 * MICRO, 0)


def test_a_refund_that_fails_after_its_debt_was_paid_gives_back_the_payment(
    shop_app: ShopApp,
) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.spend(alice, 150)
    refund = shop_app.refund(purchase)
    shop_app.sync(purchase)
    shop_app.bought(alice)
    shop_app.press(f"/refunds/{refund}/fail")
    shop_app.sync(purchase)
    has = shop_app.balance(alice)
    assert (has.available_micro, has.owed_micro) == ((10 + CREATOR) * MICRO, 0)


def test_a_refund_told_before_the_payment_grants_and_takes_back(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    shop_app.refund(purchase, "7.49")
    for kind in ("refund.created", "charge.refunded", COMPLETED):
        shop_app.deliver(purchase, kind)
    left = CREATOR * MICRO - CREATOR * MICRO * 749 // 1499
    assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    assert shop_app.grants(purchase) == 1


def test_a_refund_that_is_told_while_its_payment_is_noted_is_not_lost(shop_app: ShopApp) -> None:
    """The refund's event finds no payment of ours yet, and the sync had read Stripe before it."""
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    told = []

    def refund_meanwhile(name: str) -> None:
        if name == "retrieve_checkout" and not told:
            shop_app.refund(purchase)
            told.append(shop_app.event(purchase, "refund.created"))
            assert shop_app.send(told[0]).status_code == 200

    shop_app.line.after = refund_meanwhile
    shop_app.sync(purchase)
    shop_app.line.after = lambda name: None
    assert shop_app.credits(alice) == CREATOR
    shop_app.sweep(after=timedelta(seconds=6))
    assert shop_app.credits(alice) == 0
    event = shop_app.stored(told[0])
    assert event
    assert event.state == "done"


def test_a_dispute_freezes_and_winning_it_returns(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    dispute = shop_app.dispute(purchase)
    shop_app.deliver(purchase, "charge.dispute.created")
    has = shop_app.balance(alice)
    assert (has.available_micro, has.frozen_micro) == (50 * MICRO, CREATOR * MICRO)

    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    shop_app.deliver(purchase, "charge.dispute.closed", "charge.dispute.funds_reinstated")
    has = shop_app.balance(alice)
    assert (has.available_micro, has.frozen_micro) == ((50 + CREATOR) * MICRO, 0)


def test_a_dispute_lost_takes_the_credits_and_what_was_spent_is_owed(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.spend(alice, 80)  # 50 free ones and 30 of the pack's
    dispute = shop_app.dispute(purchase)
    shop_app.deliver(purchase, "charge.dispute.created")
    assert shop_app.balance(alice).frozen_micro == 80 * MICRO
    shop_app.press(f"/disputes/{dispute}/close", outcome="lost")
    shop_app.deliver(purchase, "charge.dispute.closed")
    has = shop_app.balance(alice)
    assert (has.available_micro, has.frozen_micro, has.owed_micro) == (0, 0, 30 * MICRO)


def test_a_dispute_after_a_part_was_refunded_takes_no_more_than_was_paid(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.refund(purchase, "5.00")
    shop_app.sync(purchase)
    dispute = shop_app.dispute(purchase)
    shop_app.sync(purchase)
    shop_app.press(f"/disputes/{dispute}/close", outcome="lost")
    shop_app.sync(purchase)
    assert shop_app.row(purchase).refunded_minor == 1499
    assert shop_app.credits(alice) == 0
    assert shop_app.balance(alice).owed_micro == 0


def test_an_open_dispute_whose_end_is_never_told_is_asked_about_daily(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    dispute = shop_app.dispute(purchase)
    shop_app.deliver(purchase)
    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    shop_app.sweep(after=timedelta(days=1))
    assert shop_app.credits(alice) == CREATOR
    assert shop_app.row(purchase).next_sync_at == NEVER


def test_every_event_twice_and_backwards_ends_the_same(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    rest = shop_app.refund(purchase, "4.99"), shop_app.refund(purchase, "5.00")
    shop_app.press(f"/refunds/{rest[1]}/fail")
    for event in [*reversed(shop_app.events(purchase)), *shop_app.events(purchase)]:
        assert shop_app.send(event).status_code == 200
        assert shop_app.send(event).status_code == 200
    left = CREATOR * MICRO - CREATOR * MICRO * 499 // 1499
    assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    assert shop_app.grants(purchase) == 1


def test_reversals_at_once_with_the_grant_end_the_same(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    shop_app.refund(purchase, "7.49")
    shop_app.dispute(purchase)
    events = shop_app.events(purchase)

    def sender(event: dict[str, object]) -> int:
        return shop_app.send(event).status_code

    acts = [lambda e=each: sender(e) for each in events]
    assert set(values(shop_app.at_once(*acts))) == {200}
    values(shop_app.at_once(lambda: checkout.sync(purchase.id)))
    left = CREATOR * MICRO - CREATOR * MICRO * 749 // 1499
    has = shop_app.balance(alice)
    assert (has.available_micro, has.frozen_micro) == (50 * MICRO, left)
    assert shop_app.grants(purchase) == 1
