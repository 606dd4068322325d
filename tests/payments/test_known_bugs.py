"""Public bugs of other projects: one test each, with the reports."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from creditapp import ledger
from creditapp.payments import webhooks
from creditapp.payments.purchases import checkout
from creditapp.payments.stripe.records import CheckoutState
from tests.flaky_gateway import cut
from tests.payments.test_webhooks import fake_event, state
from tests.shop_app import COMPLETED, CREATOR, Json, ShopApp, values


def paid(shop_app: ShopApp) -> tuple[Any, Any, Json]:
    """Return a buyer, a paid purchase and its undelivered event."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    return alice, purchase, shop_app.event(purchase, COMPLETED)


def test_bug_1_no_dedupe_grants_twice(shop_app: ShopApp) -> None:
    """opencode#28402, llmgateway#1713, open-saas#688, pollinations#10621.

    The same event twice, twice at once, and two different events about one payment.
    """
    alice, purchase, completed = paid(shop_app)
    other = shop_app.event(purchase, "payment_intent.succeeded")
    copy = {**completed, "id": completed["id"] + "_again"}  # the same fact under another id
    posts = [completed, completed, other, copy, completed, other, copy]
    acts = [lambda e=each: shop_app.send(e).status_code for each in posts]
    assert values(shop_app.at_once(*acts)) == [200] * len(posts)
    shop_app.deliver(purchase)
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_bug_2_marked_processed_before_success_loses_the_grant(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AI-Shipping-Labs#285, dj-stripe#832, unicon#42: the handler fails after the dedupe row."""
    alice, _purchase, completed = paid(shop_app)
    real = ledger.grant

    def fail(*args: Any, **named: Any) -> None:
        real(*args, **named)
        raise RuntimeError("after the grant, before the commit")

    monkeypatch.setattr(ledger, "grant", fail)
    assert shop_app.send(completed).status_code == 200
    assert shop_app.send(completed).status_code == 200
    assert (state(shop_app, completed), shop_app.credits(alice)) == ("received", 0)
    monkeypatch.undo()
    shop_app.sweep(after=timedelta(seconds=6))
    assert (state(shop_app, completed), shop_app.credits(alice)) == ("done", CREATOR)


def test_bug_3_200_on_an_error_that_stored_nothing(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shadow#148: Stripe believes a 200 and never sends the event again."""
    alice, _purchase, completed = paid(shop_app)

    def full_disk(*_args: Any) -> bool:
        raise OperationalError("INSERT", {}, Exception("disk is full"))

    monkeypatch.setattr(webhooks, "insert_once", full_disk)
    assert shop_app.send(completed).status_code == 500
    assert shop_app.stored_event(completed) is None
    monkeypatch.undo()
    assert shop_app.send(completed).status_code == 200
    assert shop_app.credits(alice) == CREATOR


def test_bug_4_completed_is_not_paid_and_paid_later_is_not_heard(shop_app: ShopApp) -> None:
    """AI-Shipping-Labs#1423, pay#1006."""
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase, "pays-later")
    shop_app.deliver(purchase, COMPLETED)
    assert shop_app.event(purchase, COMPLETED)["data"]["object"]["payment_status"] == "unpaid"
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (0, 0)
    shop_app.press(f"/payments/{shop_app.payment_intent_id(purchase)}/settle", outcome="succeeds")
    shop_app.deliver(purchase, "checkout.session.async_payment_succeeded")
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_bug_5_no_clawback_and_cumulative_amounts_taken_twice(shop_app: ShopApp) -> None:
    """eliza#10920, eliza#10938: ``amount_refunded`` is a total, repeated with each part."""
    alice, purchase, completed = paid(shop_app)
    shop_app.send(completed)
    shop_app.spend(alice, 100)  # half of the pack and the welcome credits
    shop_app.refund(purchase, "5.00")
    shop_app.refund(purchase)
    for event in (
        shop_app.events(purchase, "charge.refunded", "refund.created", "refund.updated") * 2
    ):
        assert shop_app.send(event).status_code == 200
    has = shop_app.balance(alice)
    assert (has.available_micro, has.owed_micro) == (0, 50_000_000)


def test_bug_6_an_upgrade_grants_by_what_changed_and_not_by_what_was_paid(
    shop_app: ShopApp,
) -> None:
    """llmgateway#2832, PageSpace#2648, polar#10482.

    Only what is paid at Stripe grants, and what our row of its price says: neither a subscription's
    update nor an invoice of any amount gives credits by itself, not even with our own mark. What an
    upgrade gives is in ``test_plans``.
    """
    alice, purchase, _ = paid(shop_app)
    mark = {"purchase_id": purchase.id}
    for kind, thing, ends in (
        # It may be ours and early: it is retried, and grants nothing meanwhile.
        ("customer.subscription.updated", {"id": "sub_1", "object": "subscription"}, "received"),
        ("invoice.paid", {"id": "in_1", "object": "invoice", "amount_paid": 500}, "ignored"),
    ):
        event = fake_event(f"{kind}_{purchase.id}", kind, {**thing, "metadata": mark})
        assert shop_app.send(event).json == {"received": True}
        assert state(shop_app, event) == ends
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (0, 0)


def test_bug_7_redirect_and_webhook_race(shop_app: ShopApp) -> None:
    """twenty#9588, medusa#13301: both read "not granted yet" before either writes."""
    alice, purchase, completed = paid(shop_app)
    both_have_read = []

    def wait_for_the_other(name: str) -> None:
        if name == "retrieve_checkout":
            both_have_read.append(name)
            for _ in range(200):
                if len(both_have_read) > 1:
                    return
                time.sleep(0.01)

    shop_app.flaky_gateway.after = wait_for_the_other
    values(
        shop_app.at_once(
            lambda: checkout.sync_purchase(purchase.id).state,
            lambda: shop_app.send(completed).status_code,
        )
    )
    assert len(both_have_read) >= 3, "whoever came second has read again"
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_bug_8_the_basil_break_reversals_map_by_payment_and_not_by_invoice(
    shop_app: ShopApp,
) -> None:
    """stripe-samples#1212: ``charge.invoice`` and ``invoice.payment_intent`` are gone."""
    alice, purchase, completed = paid(shop_app)
    shop_app.send(completed)
    shop_app.refund(purchase)
    for event in shop_app.events(purchase, "charge.refunded", "refund.created"):
        thing = event["data"]["object"]
        assert "invoice" not in thing
        thing["metadata"] = {}
        assert shop_app.send(event).status_code == 200
        assert state(shop_app, event) == "done"
    assert shop_app.credits(alice) == 0


# --- what our own design has to hold beside them ----------------------------------------------


def test_a_refund_overtakes_the_grant(shop_app: ShopApp) -> None:
    """There is nothing to revoke at the refund; the later "paid" must not grant all."""
    alice, purchase, completed = paid(shop_app)
    shop_app.refund(purchase)
    shop_app.deliver(purchase, "charge.refunded", "refund.created")
    assert shop_app.send(completed).status_code == 200
    shop_app.sync(purchase)
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, 0)


def test_an_outdated_state_is_never_posted_over_a_newer_one(shop_app: ShopApp) -> None:
    """A sync that read "paid" pauses while another reads "refunded" and posts it."""
    alice, purchase, _completed = paid(shop_app)
    reads: list[str] = []

    def refund_and_sync_meanwhile(name: str) -> None:
        if name == "retrieve_checkout":
            reads.append(name)
            if len(reads) == 1:
                shop_app.refund(purchase)
                shop_app.sync(purchase)

    shop_app.flaky_gateway.after = refund_and_sync_meanwhile
    assert shop_app.sync(purchase).refunded_minor == 1499
    assert len(reads) == 3, "the first, the one meanwhile, and the first again"
    assert shop_app.credits(alice) == 0


def test_no_transaction_is_open_while_stripe_is_asked(shop_app: ShopApp) -> None:
    """On SQLite an open one would block all other writers."""
    alice = shop_app.member()

    def somebody_else_writes(_name: str) -> None:
        shop_app.spend(alice, 1)

    shop_app.flaky_gateway.before = somebody_else_writes
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    assert shop_app.sync(purchase).state == "paid"


def test_a_paid_checkout_that_turns_unpaid_keeps_its_credits_and_logs_an_error(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, purchase, completed = paid(shop_app)
    shop_app.send(completed)
    monkeypatch.setattr(CheckoutState, "paid", property(lambda self: False))
    shop_app.sync(purchase)
    assert (shop_app.row(purchase).state, shop_app.credits(alice)) == ("paid", CREATOR)


def test_stripe_down_for_an_hour_loses_nothing(shop_app: ShopApp) -> None:
    alice, _purchase, completed = paid(shop_app)
    shop_app.flaky_gateway.before = cut("retrieve_checkout")
    shop_app.send(completed)
    for _ in range(6):
        shop_app.sweep(after=timedelta(minutes=10))
    assert shop_app.credits(alice) == 0
    shop_app.flaky_gateway.before = lambda name: None
    shop_app.sweep(after=timedelta(minutes=2))
    assert shop_app.credits(alice) == CREATOR
