"""Reconciliation: differences without a webhook are found, and repaired or reported."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from creditapp.clock import NEVER
from creditapp.db import transaction
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.reconciliation.report import Report
from creditapp.payments.stripe.records import GatewayError
from tests.flaky_gateway import cut
from tests.shop_app import CREATOR, ShopApp


def reconcile(shop_app: ShopApp, back: timedelta = timedelta(days=1)) -> Report:
    with shop_app.app.app_context():
        return reconciliation.reconcile(shop_app.clock.now() - back)


def differences(report: Report, purchase_id: str) -> list[tuple[str, bool]]:
    """Return kind and repair of each difference of a purchase."""
    return [
        (difference.kind, difference.repaired)
        for difference in report.differences
        if difference.purchase_id == purchase_id
    ]


def keep_from_sweep(shop_app: ShopApp, purchase: Purchase, **values: object) -> None:
    with shop_app.app.app_context(), transaction() as session:
        session.execute(
            update(Purchase)
            .where(Purchase.id == purchase.id)
            .values(next_sync_at=NEVER, **values)
            .execution_options(synchronize_session=False)
        )


def test_a_payment_without_a_webhook_is_found_and_granted(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    keep_from_sweep(shop_app, purchase)
    assert shop_app.credits(alice) == 0

    report = reconcile(shop_app)
    assert differences(report, purchase.id) == [("paid_not_granted", True)]
    assert shop_app.credits(alice) == CREATOR
    assert differences(reconcile(shop_app), purchase.id) == []
    assert shop_app.count_grants(purchase) == 1


def test_a_refund_without_an_event_is_found_and_reversed(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.refund(purchase, "7.49")
    report = reconcile(shop_app)
    assert differences(report, purchase.id) == [("refund", True)]
    assert shop_app.row(purchase).refunded_minor == 749
    assert differences(reconcile(shop_app), purchase.id) == []


def test_a_refund_of_an_old_purchase_is_found_by_its_payment(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    long_ago = shop_app.clock.now() - timedelta(days=90)
    keep_from_sweep(shop_app, purchase, created_at=long_ago, paid_at=long_ago)
    shop_app.refund(purchase)
    assert differences(reconcile(shop_app), purchase.id) == [("refund", True)]
    assert shop_app.credits(alice) == 0


def test_a_dispute_without_events_freezes_credits_until_it_is_won(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    dispute = shop_app.dispute(purchase)
    assert differences(reconcile(shop_app), purchase.id) == [("dispute", True)]
    assert shop_app.credits(alice) == 0
    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    assert differences(reconcile(shop_app), purchase.id) == [("dispute", True)]
    assert shop_app.credits(alice) == CREATOR


def test_a_payment_of_another_amount_is_reported(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.change_session(purchase, amount_subtotal=1)
    assert differences(reconcile(shop_app), purchase.id) == [("paid_not_granted", False)]
    assert shop_app.credits(alice) == 0
    assert "LEFT" in reconcile(shop_app).as_text()


def test_a_granted_purchase_of_another_amount_is_reported(shop_app: ShopApp) -> None:
    purchase = shop_app.buy_and_pay(shop_app.member())
    shop_app.change_session(purchase, amount_subtotal=1)
    assert differences(reconcile(shop_app), purchase.id) == [("amount", False)]


def test_a_grant_without_a_payment_is_reported(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.change_session(purchase, payment_status="unpaid")
    assert differences(reconcile(shop_app), purchase.id) == [("granted_not_paid", False)]
    assert shop_app.credits(alice) == CREATOR


def test_a_payment_without_a_purchase_is_reported(shop_app: ShopApp) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    shop_app.pay(purchase)
    metadata = shop_app.session(purchase)["metadata"] | {"purchase_id": "pur_of_another_shop"}
    shop_app.change_session(purchase, metadata=metadata)
    report = reconcile(shop_app)
    assert differences(report, "pur_of_another_shop") == [("unknown", False)]


def test_an_unpaid_checkout_is_no_difference(shop_app: ShopApp) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    assert differences(reconcile(shop_app), purchase.id) == []


@pytest.mark.parametrize("name", ["list_checkouts", "list_refunded_payments"])
def test_nothing_changes_while_stripe_cannot_be_reached(shop_app: ShopApp, name: str) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.flaky_gateway.before = cut(name)
    with pytest.raises(GatewayError):
        reconcile(shop_app)
    shop_app.flaky_gateway.before = lambda name: None
    assert shop_app.credits(alice) == 0


def test_one_purchase_that_cannot_be_read_does_not_stop_the_others(shop_app: ShopApp) -> None:
    alice, bob = shop_app.member(), shop_app.member()
    first, second = shop_app.start_checkout(alice), shop_app.start_checkout(bob)
    shop_app.pay(first)
    shop_app.pay(second)
    failed: list[str] = []

    def fail_once(name: str) -> None:
        if name == "retrieve_checkout" and not failed:
            failed.append(name)
            raise GatewayError("Stripe: no answer", permanent=False)

    shop_app.flaky_gateway.before = fail_once
    report = reconcile(shop_app)
    shop_app.flaky_gateway.before = lambda name: None
    repairs = differences(report, first.id) + differences(report, second.id)
    assert ("paid_not_granted", True) in repairs
    assert [difference.kind for difference in report.differences].count("unanswered") == 1
    assert not report.ok


def test_concurrent_reconciliations_grant_once(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    since = shop_app.clock.now() - timedelta(days=1)
    shop_app.at_once(*(lambda: reconciliation.reconcile(since) for _ in range(3)))
    assert (shop_app.count_grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_the_report_says_so_if_everything_agrees(shop_app: ShopApp) -> None:
    shop_app.buy_and_pay(shop_app.member())
    report = reconcile(shop_app)
    assert report.ok
    assert report.as_dict()["compared"] == {
        "paidCheckouts": 1,
        "refunds": 0,
        "disputes": 0,
        "grantedPurchases": 1,
        "paidInvoices": 0,
        "agentPayments": 0,
    }
    assert report.as_text().endswith("They agree.")
