"""The ledger against Stripe: what no webhook told is found, repaired, or shown to a person."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from creditapp.clock import NEVER
from creditapp.db import transaction
from creditapp.payments import reconciling
from creditapp.payments.gateway import GatewayError
from creditapp.payments.models import Purchase
from creditapp.payments.reconciling import Report
from tests.payments.till import CREATOR, Till, cut, house, opened, till

__all__ = ["house", "till"]


def reconcile(till: Till, back: timedelta = timedelta(days=1)) -> Report:
    with till.app.app_context():
        return reconciling.reconcile(till.clock.now() - back)


def about(report: Report, purchase: Purchase) -> list[tuple[str, bool]]:
    return [(d.kind, d.repaired) for d in report.differences if d.purchase_id == purchase.id]


def forget_the_sweep(till: Till, purchase: Purchase, **values: object) -> None:
    with till.app.app_context(), transaction() as session:
        session.execute(
            update(Purchase)
            .where(Purchase.id == purchase.id)
            .values(next_sync_at=NEVER, **values)
            .execution_options(synchronize_session=False)
        )


def test_a_webhook_that_never_came_is_found_and_the_credits_are_given(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    forget_the_sweep(till, purchase)
    assert till.credits(alice) == 0

    report = reconcile(till)
    assert about(report, purchase) == [("paid_not_granted", True)]
    assert till.credits(alice) == CREATOR
    assert about(reconcile(till), purchase) == []
    assert till.grants(purchase) == 1


def test_a_refund_that_nobody_told_is_taken_back(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.refund(purchase, "7.49")
    report = reconcile(till)
    assert about(report, purchase) == [("refund", True)]
    assert till.row(purchase).refunded_minor == 749
    assert about(reconcile(till), purchase) == []


def test_a_refund_of_an_old_purchase_is_found_by_its_payment(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    long_ago = till.clock.now() - timedelta(days=90)
    forget_the_sweep(till, purchase, created_at=long_ago, paid_at=long_ago)
    till.refund(purchase)
    assert about(reconcile(till), purchase) == [("refund", True)]
    assert till.credits(alice) == 0


def test_a_dispute_that_nobody_told_freezes_and_its_end_gives_back(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    dispute = till.dispute(purchase)
    assert about(reconcile(till), purchase) == [("dispute", True)]
    assert till.credits(alice) == 0
    till.press(f"/disputes/{dispute}/close", outcome="won")
    assert about(reconcile(till), purchase) == [("dispute", True)]
    assert till.credits(alice) == CREATOR


def test_a_payment_of_another_amount_is_left_for_a_person(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    till.alter(purchase, amount_subtotal=1)
    assert about(reconcile(till), purchase) == [("paid_not_granted", False)]
    assert till.credits(alice) == 0
    assert "LEFT" in reconcile(till).as_text()


def test_a_granted_purchase_whose_amount_differs_is_left_for_a_person(till: Till) -> None:
    purchase = till.bought(till.member())
    till.alter(purchase, amount_subtotal=1)
    assert about(reconcile(till), purchase) == [("amount", False)]


def test_a_grant_that_nobody_paid_is_left_for_a_person(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.alter(purchase, payment_status="unpaid")
    assert about(reconcile(till), purchase) == [("granted_not_paid", False)]
    assert till.credits(alice) == CREATOR


def test_a_payment_whose_purchase_is_gone_is_left_for_a_person(till: Till) -> None:
    purchase = till.start(till.member())
    till.pay(purchase)
    metadata = till.session(purchase)["metadata"] | {"purchase_id": "pur_of_another_shop"}
    till.alter(purchase, metadata=metadata)
    found = [d for d in reconcile(till).differences if d.purchase_id == "pur_of_another_shop"]
    assert [(d.kind, d.repaired) for d in found] == [("unknown", False)]


def test_an_unpaid_checkout_is_no_difference(till: Till) -> None:
    purchase = till.start(till.member())
    assert about(reconcile(till), purchase) == []


@pytest.mark.parametrize("name", ["list_checkouts", "list_refunded_payments"])
def test_while_stripe_cannot_be_asked_nothing_is_changed(till: Till, name: str) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    till.line.before = cut(name)
    with pytest.raises(GatewayError):
        reconcile(till)
    till.line.before = lambda name: None
    assert till.credits(alice) == 0


def test_one_purchase_that_cannot_be_asked_about_does_not_hide_the_others(till: Till) -> None:
    alice, bob = till.member(), till.member()
    first, second = till.start(alice), till.start(bob)
    till.pay(first)
    till.pay(second)
    failed: list[str] = []

    def fail_once(name: str) -> None:
        if name == "retrieve_checkout" and not failed:
            failed.append(name)
            raise GatewayError("Stripe: no answer", permanent=False)

    till.line.before = fail_once
    report = reconcile(till)
    till.line.before = lambda name: None
    told = about(report, first) + about(report, second)
    assert ("paid_not_granted", True) in told
    assert [each.kind for each in report.differences].count("unanswered") == 1
    assert not report.ok


def test_two_at_once_grant_once(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    since = till.clock.now() - timedelta(days=1)
    till.at_once(*(lambda: reconciling.reconcile(since) for _ in range(3)))
    assert (till.grants(purchase), till.credits(alice)) == (1, CREATOR)


def test_when_all_agrees_it_says_so(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path, None) as till:
        till.begin()
        till.bought(till.member())
        report = reconcile(till)
        assert report.ok
        assert report.as_dict()["compared"] == {
            "paidCheckouts": 1,
            "refunds": 0,
            "disputes": 0,
            "grantedPurchases": 1,
            "paidInvoices": 0,
        }
        assert report.as_text().endswith("They agree.")
