"""Refunds and disputes of packs: the ledger follows Stripe's totals, whatever events arrive."""

from __future__ import annotations

from datetime import timedelta

from creditapp.clock import NEVER
from creditapp.payments.purchases import checkout
from tests.shop_app import COMPLETED, CREATOR, ShopApp, values

MICRO = 1_000_000


def test_a_full_refund_revokes_the_credits(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.refund(purchase)
    shop_app.deliver(purchase)
    assert shop_app.credits(alice) == 0
    assert shop_app.row(purchase).refunded_minor == 1499


def test_refunds_in_parts_add_up_to_the_whole(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    refunded_minor = 0
    for text, minor in (("3.33", 333), ("0.01", 1), ("4.99", 499), ("6.66", 666)):
        shop_app.refund(purchase, text)
        shop_app.deliver(purchase, "refund.created")
        refunded_minor += minor
        left = CREATOR * MICRO - CREATOR * MICRO * refunded_minor // 1499
        assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    assert (refunded_minor, shop_app.credits(alice)) == (1499, 0)


def test_a_refund_of_a_taxed_payment_revokes_its_share(shop_app: ShopApp) -> None:
    """Shares are of the total with tax: $8.99 is half of $17.98."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.change_session(purchase, amount_total=1798)
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    shop_app.refund(purchase, "8.99")
    shop_app.sync(purchase)
    assert shop_app.credits(alice) == CREATOR / 2
    shop_app.refund(purchase)
    shop_app.sync(purchase)
    assert shop_app.credits(alice) == 0


def test_a_refund_that_fails_later_grants_the_credits_again(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    part, rest = shop_app.refund(purchase, "5.00"), shop_app.refund(purchase)
    shop_app.deliver(purchase, "charge.refunded")
    assert shop_app.credits(alice) == 0
    shop_app.press(f"/refunds/{rest}/fail")
    shop_app.deliver(purchase, "refund.failed")
    left = CREATOR * MICRO - CREATOR * MICRO * 500 // 1499
    assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    shop_app.press(f"/refunds/{part}/fail")
    shop_app.deliver(purchase, "refund.updated")
    assert shop_app.credits(alice) == CREATOR
    assert shop_app.row(purchase).refunded_minor == 0


def test_credits_spent_before_the_refund_are_owed_and_repaid_by_the_next_pack(
    shop_app: ShopApp,
) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.spend(alice, 150)  # the 50 welcome credits and 100 of the pack
    shop_app.refund(purchase)
    shop_app.deliver(purchase)
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == (0, 100 * MICRO)

    shop_app.buy_and_pay(alice)
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == (10 * MICRO, 0)


def test_a_refund_that_fails_after_its_debt_was_repaid_grants_the_repayment_again(
    shop_app: ShopApp,
) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.spend(alice, 150)
    refund = shop_app.refund(purchase)
    shop_app.sync(purchase)
    shop_app.buy_and_pay(alice)
    shop_app.press(f"/refunds/{refund}/fail")
    shop_app.sync(purchase)
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == ((10 + CREATOR) * MICRO, 0)


def test_a_refund_event_before_the_payment_event_grants_and_revokes(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.refund(purchase, "7.49")
    for kind in ("refund.created", "charge.refunded", COMPLETED):
        shop_app.deliver(purchase, kind)
    left = CREATOR * MICRO - CREATOR * MICRO * 749 // 1499
    assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    assert shop_app.count_grants(purchase) == 1


def test_a_refund_event_during_the_first_sync_is_not_lost(shop_app: ShopApp) -> None:
    """The refund event finds no stored payment yet, and the sync has read Stripe before it."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    sent = []

    def refund_meanwhile(name: str) -> None:
        if name == "retrieve_checkout" and not sent:
            shop_app.refund(purchase)
            sent.append(shop_app.event(purchase, "refund.created"))
            assert shop_app.send(sent[0]).status_code == 200

    shop_app.flaky_gateway.after = refund_meanwhile
    shop_app.sync(purchase)
    shop_app.flaky_gateway.after = lambda name: None
    assert shop_app.credits(alice) == CREATOR
    shop_app.sweep(after=timedelta(seconds=6))
    assert shop_app.credits(alice) == 0
    event = shop_app.stored_event(sent[0])
    assert event
    assert event.state == "done"


def test_a_dispute_freezes_credits_and_winning_it_unfreezes_them(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    dispute = shop_app.dispute(purchase)
    shop_app.deliver(purchase, "charge.dispute.created")
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.frozen_micro) == (50 * MICRO, CREATOR * MICRO)

    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    shop_app.deliver(purchase, "charge.dispute.closed", "charge.dispute.funds_reinstated")
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.frozen_micro) == ((50 + CREATOR) * MICRO, 0)


def test_a_lost_dispute_revokes_the_credits_and_spent_ones_are_owed(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.spend(alice, 80)  # the 50 welcome credits and 30 of the pack
    dispute = shop_app.dispute(purchase)
    shop_app.deliver(purchase, "charge.dispute.created")
    assert shop_app.balance(alice).frozen_micro == 80 * MICRO
    shop_app.press(f"/disputes/{dispute}/close", outcome="lost")
    shop_app.deliver(purchase, "charge.dispute.closed")
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.frozen_micro, balance.owed_micro) == (0, 0, 30 * MICRO)


def test_a_dispute_after_a_partial_refund_reverses_no_more_than_was_paid(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.refund(purchase, "5.00")
    shop_app.sync(purchase)
    dispute = shop_app.dispute(purchase)
    shop_app.sync(purchase)
    shop_app.press(f"/disputes/{dispute}/close", outcome="lost")
    shop_app.sync(purchase)
    assert shop_app.row(purchase).refunded_minor == 1499
    assert shop_app.credits(alice) == 0
    assert shop_app.balance(alice).owed_micro == 0


def test_an_open_dispute_is_synced_daily_without_events(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    dispute = shop_app.dispute(purchase)
    shop_app.deliver(purchase)
    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    shop_app.sweep(after=timedelta(days=1))
    assert shop_app.credits(alice) == CREATOR
    assert shop_app.row(purchase).next_sync_at == NEVER


def test_every_event_twice_and_backwards_ends_the_same(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    rest = shop_app.refund(purchase, "4.99"), shop_app.refund(purchase, "5.00")
    shop_app.press(f"/refunds/{rest[1]}/fail")
    for event in [*reversed(shop_app.events(purchase)), *shop_app.events(purchase)]:
        assert shop_app.send(event).status_code == 200
        assert shop_app.send(event).status_code == 200
    left = CREATOR * MICRO - CREATOR * MICRO * 499 // 1499
    assert shop_app.balance(alice).available_micro == 50 * MICRO + left
    assert shop_app.count_grants(purchase) == 1


def test_concurrent_events_of_payment_refund_and_dispute_end_the_same(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.refund(purchase, "7.49")
    shop_app.dispute(purchase)
    events = shop_app.events(purchase)

    def send(event: dict[str, object]) -> int:
        return shop_app.send(event).status_code

    sends = [lambda event=event: send(event) for event in events]
    assert set(values(shop_app.at_once(*sends))) == {200}
    values(shop_app.at_once(lambda: checkout.sync_purchase(purchase.id)))
    left = CREATOR * MICRO - CREATOR * MICRO * 749 // 1499
    balance = shop_app.balance(alice)
    assert (balance.available_micro, balance.frozen_micro) == (50 * MICRO, left)
    assert shop_app.count_grants(purchase) == 1
