"""Refunds and disputes of plans: months that are not due go first; reconciled and proven after."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.subscriptions.models import Subscription
from creditapp.stripe_sandbox.state import State
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import ShopApp


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """The till, with its clock at the bank's."""
    return PlanShop(shop_app)


def payment(plans: PlanShop, row: Subscription) -> str:
    """Return the payment intent of the newest invoice."""
    with plans.app.app_context():
        from creditapp.db import snapshot
        from creditapp.payments.subscriptions.models import Invoice

        with snapshot() as session:
            found = (
                session.query(Invoice)
                .filter(Invoice.subscription_id == row.id)
                .order_by(Invoice.created_at.desc())
                .first()
            )
    assert found is not None
    assert found.payment_intent_id is not None
    return found.payment_intent_id


def taken(plans: PlanShop, row: Subscription) -> int:
    """Return what is taken back of all months of a plan, in credits."""
    with plans.app.app_context():
        from sqlalchemy import func, select

        from creditapp.db import snapshot
        from creditapp.payments.subscriptions.models import ScheduledGrant

        query = select(func.sum(ScheduledGrant.reversed_micro)).where(
            ScheduledGrant.subscription_id == row.id
        )
        with snapshot() as session:
            return int(session.scalar(query) or 0) // MICRO


def test_a_refunded_month_goes_back_in_proportion(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    intent = payment(plans, row)
    plans.refund(intent, "3.00")
    plans.sync(row)
    assert plans.shop_app.credits(alice) == 400
    plans.refund(intent)
    plans.sync(row)
    plans.sync(row)
    assert plans.shop_app.credits(alice) == 0


def test_what_was_spent_of_a_refunded_month_is_owed(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.shop_app.spend(alice, 200)  # of the plan's, which end; the welcome credits do not
    plans.refund(payment(plans, row))
    plans.sync(row)
    balance = plans.shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == (50 * MICRO, 200 * MICRO)
    plans.shop_app.bought(alice)  # 110 credits pay the first of it
    balance = plans.shop_app.balance(alice)
    assert (balance.available_micro, balance.owed_micro) == (50 * MICRO, 90 * MICRO)


def test_a_refunded_year_first_loses_the_months_that_are_not_due(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "premium", "year")
    plans.refund(payment(plans, row), "145.00")  # a half: six of twelve months
    plans.sync(row)
    assert plans.shop_app.credits(alice) == 1200
    assert taken(plans, row) == 7200
    plans.live_through(row, 11)
    assert plans.given(alice) == [1200] * 6


def test_a_refund_that_failed_is_undone(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    intent = payment(plans, row)
    came_back = plans.refund(intent)
    plans.sync(row)
    assert (plans.shop_app.credits(alice), taken(plans, row)) == (0, 6000)
    plans.shop_app.press(f"/refunds/{came_back}/fail")
    plans.sync(row)
    assert (plans.shop_app.credits(alice), taken(plans, row)) == (500, 0)
    plans.live_through(row, 11)
    assert plans.given(alice) == [500] * 12


def test_a_dispute_freezes_and_its_end_decides(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    for buyer, outcome, left in ((alice, "won", 500), (bob, "lost", 0)):
        row = plans.subscribe(buyer)
        intent = payment(plans, row)
        dispute = plans.dispute(intent)
        plans.sync(row)
        assert plans.shop_app.balance(buyer).frozen_micro == 500 * MICRO
        plans.decide(dispute, outcome)
        plans.sync(row)
        assert plans.shop_app.balance(buyer).frozen_micro == 0
        assert plans.shop_app.credits(buyer) == left


def test_a_disputed_year_gives_no_month_until_it_is_decided(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    intent = payment(plans, row)
    dispute = plans.dispute(intent)
    plans.sync(row)
    plans.live_through(row, 2)
    assert plans.given(alice) == [500]
    plans.decide(dispute, "won")
    plans.sync(row)
    plans.sweep()
    assert plans.given(alice) == [500] * 3


def test_a_refund_told_by_its_event_finds_the_invoice(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.live_through(row, 4)
    first = plans.invoices(alice)[0]
    assert first.payment_intent_id is not None
    plans.refund(first.payment_intent_id)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        event = books.find("event", {"type": ["refund.created"]}, limit=1)[0]
    assert plans.shop_app.send(event).status_code == 200
    assert plans.invoices(alice)[0].refunded_minor == 1500


def test_reconciling_finds_a_renewal_and_a_refund_nobody_told_of(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    since = plans.follow() - timedelta(hours=1)
    row = plans.subscribe(alice)
    plans.pass_to(row.period_end + timedelta(hours=1))
    with plans.app.app_context():
        report = reconciliation.reconcile(since)
        kinds = [each.kind for each in report.differences if each.repaired]
        assert "paid_not_granted" in kinds
        assert report.ok, report.as_text()
    assert plans.given(alice) == [500, 500]
    first = plans.invoices(alice)[0]
    assert first.payment_intent_id is not None
    plans.refund(first.payment_intent_id, "3.00")
    with plans.app.app_context():
        report = reconciliation.reconcile(since)
        assert [each.kind for each in report.differences] == ["refund"]
        assert report.ok
        assert reconciliation.reconcile(since).differences == []
    assert plans.shop_app.credits(alice) == 900


def test_the_proof_names_a_month_whose_grant_was_altered(plans: PlanShop) -> None:
    from sqlalchemy import text

    from creditapp.db import snapshot, transaction
    from creditapp.payments.reconciliation import ledger_check

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
