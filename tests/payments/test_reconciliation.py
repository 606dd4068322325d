"""The ledger against Stripe: what no webhook told is found, repaired, or shown to a person."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from creditapp.clock import NEVER
from creditapp.db import transaction
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.reconciliation.report import Report
from creditapp.payments.stripe.records import GatewayError
from tests.flaky_gateway import cut
from tests.shop_app import CREATOR, ShopApp, opened


def reconcile(shop_app: ShopApp, back: timedelta = timedelta(days=1)) -> Report:
    with shop_app.app.app_context():
        return reconciliation.reconcile(shop_app.clock.now() - back)


def about(report: Report, purchase: Purchase) -> list[tuple[str, bool]]:
    return [(d.kind, d.repaired) for d in report.differences if d.purchase_id == purchase.id]


def forget_the_sweep(shop_app: ShopApp, purchase: Purchase, **values: object) -> None:
    with shop_app.app.app_context(), transaction() as session:
        session.execute(
            update(Purchase)
            .where(Purchase.id == purchase.id)
            .values(next_sync_at=NEVER, **values)
            .execution_options(synchronize_session=False)
        )


def test_a_webhook_that_never_came_is_found_and_the_credits_are_given(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    forget_the_sweep(shop_app, purchase)
    assert shop_app.credits(alice) == 0

    report = reconcile(shop_app)
    assert about(report, purchase) == [("paid_not_granted", True)]
    assert shop_app.credits(alice) == CREATOR
    assert about(reconcile(shop_app), purchase) == []
    assert shop_app.grants(purchase) == 1


def test_a_refund_that_nobody_told_is_taken_back(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.refund(purchase, "7.49")
    report = reconcile(shop_app)
    assert about(report, purchase) == [("refund", True)]
    assert shop_app.row(purchase).refunded_minor == 749
    assert about(reconcile(shop_app), purchase) == []


def test_a_refund_of_an_old_purchase_is_found_by_its_payment(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    long_ago = shop_app.clock.now() - timedelta(days=90)
    forget_the_sweep(shop_app, purchase, created_at=long_ago, paid_at=long_ago)
    shop_app.refund(purchase)
    assert about(reconcile(shop_app), purchase) == [("refund", True)]
    assert shop_app.credits(alice) == 0


def test_a_dispute_that_nobody_told_freezes_and_its_end_gives_back(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    dispute = shop_app.dispute(purchase)
    assert about(reconcile(shop_app), purchase) == [("dispute", True)]
    assert shop_app.credits(alice) == 0
    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    assert about(reconcile(shop_app), purchase) == [("dispute", True)]
    assert shop_app.credits(alice) == CREATOR


def test_a_payment_of_another_amount_is_left_for_a_person(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    shop_app.alter(purchase, amount_subtotal=1)
    assert about(reconcile(shop_app), purchase) == [("paid_not_granted", False)]
    assert shop_app.credits(alice) == 0
    assert "LEFT" in reconcile(shop_app).as_text()


def test_a_granted_purchase_whose_amount_differs_is_left_for_a_person(shop_app: ShopApp) -> None:
    purchase = shop_app.bought(shop_app.member())
    shop_app.alter(purchase, amount_subtotal=1)
    assert about(reconcile(shop_app), purchase) == [("amount", False)]


def test_a_grant_that_nobody_paid_is_left_for_a_person(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.bought(alice)
    shop_app.alter(purchase, payment_status="unpaid")
    assert about(reconcile(shop_app), purchase) == [("granted_not_paid", False)]
    assert shop_app.credits(alice) == CREATOR


def test_a_payment_whose_purchase_is_gone_is_left_for_a_person(shop_app: ShopApp) -> None:
    purchase = shop_app.start(shop_app.member())
    shop_app.pay(purchase)
    metadata = shop_app.session(purchase)["metadata"] | {"purchase_id": "pur_of_another_shop"}
    shop_app.alter(purchase, metadata=metadata)
    found = [d for d in reconcile(shop_app).differences if d.purchase_id == "pur_of_another_shop"]
    assert [(d.kind, d.repaired) for d in found] == [("unknown", False)]


def test_an_unpaid_checkout_is_no_difference(shop_app: ShopApp) -> None:
    purchase = shop_app.start(shop_app.member())
    assert about(reconcile(shop_app), purchase) == []


@pytest.mark.parametrize("name", ["list_checkouts", "list_refunded_payments"])
def test_while_stripe_cannot_be_asked_nothing_is_changed(shop_app: ShopApp, name: str) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    shop_app.line.before = cut(name)
    with pytest.raises(GatewayError):
        reconcile(shop_app)
    shop_app.line.before = lambda name: None
    assert shop_app.credits(alice) == 0


def test_one_purchase_that_cannot_be_asked_about_does_not_hide_the_others(
    shop_app: ShopApp,
) -> None:
    alice, bob = shop_app.member(), shop_app.member()
    first, second = shop_app.start(alice), shop_app.start(bob)
    shop_app.pay(first)
    shop_app.pay(second)
    failed: list[str] = []

    def fail_once(name: str) -> None:
        if name == "retrieve_checkout" and not failed:
            failed.append(name)
            raise GatewayError("Stripe: no answer", permanent=False)

    shop_app.line.before = fail_once
    report = reconcile(shop_app)
    shop_app.line.before = lambda name: None
    told = about(report, first) + about(report, second)
    assert ("paid_not_granted", True) in told
    assert [each.kind for each in report.differences].count("unanswered") == 1
    assert not report.ok


def test_two_at_once_grant_once(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start(alice)
    shop_app.pay(purchase)
    since = shop_app.clock.now() - timedelta(days=1)
    shop_app.at_once(*(lambda: reconciliation.reconcile(since) for _ in range(3)))
    assert (shop_app.grants(purchase), shop_app.credits(alice)) == (1, CREATOR)


def test_when_all_agrees_it_says_so(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path, None) as shop_app:
        shop_app.begin()
        shop_app.bought(shop_app.member())
        report = reconcile(shop_app)
        assert report.ok
        assert report.as_dict()["compared"] == {
            "paidCheckouts": 1,
            "refunds": 0,
            "disputes": 0,
            "grantedPurchases": 1,
            "paidInvoices": 0,
        }
        assert report.as_text().endswith("They agree.")
