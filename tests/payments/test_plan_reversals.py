"""Reversals of plans: refunds and disputes take months that are not due first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from creditapp.db import snapshot, transaction
from creditapp.payments.reconciliation import ledger_check
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant, Subscription
from creditapp.stripe_sandbox.state import State
from tests.payments.plan_shop import MICRO, PlanShop

pytestmark = pytest.mark.in_turn


def newest_payment(plans: PlanShop, row: Subscription) -> str:
    """Return the payment intent of the newest invoice."""
    query = select(Invoice.payment_intent_id).where(Invoice.subscription_id == row.id)
    with plans.app.app_context(), snapshot() as session:
        payment_intent_id = session.scalar(query.order_by(Invoice.created_at.desc()).limit(1))
    assert payment_intent_id is not None
    return payment_intent_id


def reversed_credits(plans: PlanShop, row: Subscription) -> int:
    """Return how many credits of all months of a plan are reversed."""
    query = select(func.sum(ScheduledGrant.reversed_micro)).where(
        ScheduledGrant.subscription_id == row.id
    )
    with plans.app.app_context(), snapshot() as session:
        return int(session.scalar(query) or 0) // MICRO


def test_a_refund_reverses_its_share_of_the_month(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    intent = newest_payment(plans, row)
    plans.refund(intent, "3.00")
    plans.sync(row)
    assert plans.shop_app.credits(alice) == 400
    plans.refund(intent)
    plans.sync(row)
    plans.sync(row)
    assert plans.shop_app.credits(alice) == 0


def test_spent_credits_of_a_refunded_month_are_owed(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.shop_app.spend(
        alice, 200
    )  # the plan's credits are spent first: the welcome ones never expire
    plans.refund(newest_payment(plans, row))
    plans.sync(row)
    balance = plans.shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == (50 * MICRO, 200 * MICRO)
    plans.shop_app.buy_and_pay(alice)  # its 110 credits repay part of the debt
    balance = plans.shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == (50 * MICRO, 90 * MICRO)


def test_a_refund_of_a_year_reverses_months_that_are_not_due_first(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium", "year")
    plans.refund(newest_payment(plans, row), "145.00")  # half: six of twelve months
    plans.sync(row)
    assert plans.shop_app.credits(alice) == 1200
    assert reversed_credits(plans, row) == 7200
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [1200] * 6


def test_a_failed_refund_grants_the_credits_again(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    intent = newest_payment(plans, row)
    failed_refund = plans.refund(intent)
    plans.sync(row)
    assert (plans.shop_app.credits(alice), reversed_credits(plans, row)) == (0, 6000)
    plans.shop_app.press(f"/refunds/{failed_refund}/fail")
    plans.sync(row)
    assert (plans.shop_app.credits(alice), reversed_credits(plans, row)) == (500, 0)
    plans.pass_months(row, 11)
    assert plans.granted(alice) == [500] * 12


def test_a_dispute_freezes_credits_until_it_is_won_or_lost(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    for buyer, outcome, left in ((alice, "won", 500), (bob, "lost", 0)):
        row = plans.subscribe(buyer)
        intent = newest_payment(plans, row)
        dispute = plans.dispute(intent)
        plans.sync(row)
        assert plans.shop_app.balance(buyer).frozen_micro == 500 * MICRO
        plans.decide(dispute, outcome)
        plans.sync(row)
        assert plans.shop_app.balance(buyer).frozen_micro == 0
        assert plans.shop_app.credits(buyer) == left


def test_a_disputed_year_grants_no_month_until_it_is_decided(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    intent = newest_payment(plans, row)
    dispute = plans.dispute(intent)
    plans.sync(row)
    plans.pass_months(row, 2)
    assert plans.granted(alice) == [500]
    plans.decide(dispute, "won")
    plans.sync(row)
    plans.sweep()
    assert plans.granted(alice) == [500] * 3


def test_the_event_of_a_refund_finds_its_invoice(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.pass_months(row, 4)
    first = plans.invoices(alice)[0]
    assert first.payment_intent_id is not None
    plans.refund(first.payment_intent_id)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        event = books.find("event", {"type": ["refund.created"]}, limit=1)[0]
    assert plans.shop_app.send(event).status_code == 200
    assert plans.invoices(alice)[0].refunded_minor == 1500


def test_reconciliation_finds_a_renewal_and_a_refund_without_events(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    since = plans.sync_clock() - timedelta(hours=1)
    row = plans.subscribe(alice)
    plans.advance_to(row.period_end + timedelta(hours=1))
    with plans.app.app_context():
        report = reconciliation.reconcile(since)
        kinds = [difference.kind for difference in report.differences if difference.repaired]
        assert "paid_not_granted" in kinds
        assert report.ok, report.as_text()
    assert plans.granted(alice) == [500, 500]
    first = plans.invoices(alice)[0]
    assert first.payment_intent_id is not None
    plans.refund(first.payment_intent_id, "3.00")
    with plans.app.app_context():
        report = reconciliation.reconcile(since)
        assert [difference.kind for difference in report.differences] == ["refund"]
        assert report.ok
        assert reconciliation.reconcile(since).differences == []
    assert plans.shop_app.credits(alice) == 900


def test_the_ledger_check_names_a_tampered_month(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice)
    with plans.app.app_context():
        with snapshot() as session:
            assert not ledger_check.check(session.connection()).findings
        with transaction() as session:
            session.execute(
                text("UPDATE scheduled_grants SET credits_micro = 1 WHERE user_id = :id"),
                {"id": alice.id},
            )
        with snapshot() as session:
            (finding,) = ledger_check.check(session.connection()).findings
        assert "has no grant of its own" in finding.sentence
        with transaction() as session:
            session.execute(
                text("UPDATE scheduled_grants SET credits_micro = 500000000 WHERE user_id = :id"),
                {"id": alice.id},
            )
