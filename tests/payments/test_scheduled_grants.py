"""Scheduled grants: invoices paid late or out of order, and months delayed by a dispute."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from creditapp.clock import NEVER
from creditapp.db import snapshot, transaction
from creditapp.ledger.models import Grant
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.stripe.records import InvoiceState
from creditapp.payments.subscriptions import scheduled_grants
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.payments.subscriptions.months import add_months
from tests.payments.plan_shop import PlanShop

BASIC, PREMIUM = 500, 1200


def test_an_upgrade_while_the_renewal_is_a_draft_grants_one_year(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.pass_months(row, 11)
    grants_before = len(plans.granted(alice))
    plans.advance_to(row.period_end + timedelta(minutes=5))
    gateway: Any = type(plans.shop_app.gateway)
    list_invoices = gateway.list_invoices

    def without_the_draft(self: Any, subscription_id: str) -> tuple[InvoiceState, ...]:
        invoices = list_invoices(self, subscription_id)
        return tuple(
            invoice for invoice in invoices if invoice.billing_reason != "subscription_cycle"
        )

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "list_invoices", without_the_draft)
        plans.sync(row)
        assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    plans.sync(row)
    year = add_months(row.period_start, 12)
    for number in range(1, 12):
        plans.advance_to(add_months(year, number) + timedelta(hours=1))
        plans.sweep()
    assert sum(plans.granted(alice)[grants_before:]) == pytest.approx(12 * PREMIUM, abs=0.2)


def test_an_upgrade_in_the_second_a_month_begins(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.pass_months(row, 4)
    plans.advance_to(add_months(row.period_start, 5))
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    plans.pass_months(row, 11)
    granted = sorted(plans.granted(alice))
    assert granted[:6] == [BASIC] * 6
    assert granted[6] == pytest.approx(PREMIUM - BASIC, abs=0.01)
    assert granted[7:] == [PREMIUM] * 6


def test_months_delayed_by_a_won_dispute_can_be_spent(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    dispute = plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.sync(row)
    plans.pass_months(row, 4)
    plans.decide(dispute, "won")
    plans.sync(row)
    assert plans.granted(alice) == [BASIC] * 5
    # The first month gets its frozen time back; every other is valid for at least a month.
    assert plans.shop_app.credits(alice) == 5 * BASIC


def test_the_sweep_grants_the_due_months_of_undisputed_invoices(plans: PlanShop) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.sync(row)
    plans.subscribe(bob, "basic", "year")
    others = update(Invoice).where(Invoice.user_id != bob.id).values(disputed=True)
    with plans.app.app_context(), transaction() as session:
        session.execute(others)
    plans.advance_to(add_months(row.period_start, 2) + timedelta(hours=1))
    with plans.app.app_context():
        scheduled_grants.sweep_due_grants()
        scheduled_grants.sweep_due_grants()
    assert (plans.granted(alice), plans.granted(bob)) == ([BASIC], [BASIC] * 3)


def test_a_dispute_that_closes_after_the_plan_ended_is_synced(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    dispute = plans.dispute(plans.invoices(alice)[0].payment_intent_id)
    plans.choose(alice, "free")
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.status(alice).free
    ended = plans.sync(row)
    assert ended.next_sync_at == plans.shop_app.clock.now() + timedelta(days=1)
    plans.decide(dispute, "won")
    plans.advance_to(plans.shop_app.clock.now() + timedelta(days=2))
    plans.sweep()
    assert plans.shop_app.balance(alice).frozen_micro == 0
    assert plans.sync(row).next_sync_at == NEVER


def test_a_month_paid_late_is_valid_for_a_month(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    gateway: Any = type(plans.shop_app.gateway)
    list_invoices = gateway.list_invoices

    def with_unpaid_renewals(self: Any, subscription_id: str) -> tuple[InvoiceState, ...]:
        first, *renewals = list_invoices(self, subscription_id)
        return (first, *(replace(invoice, status="open", paid_minor=0) for invoice in renewals))

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "list_invoices", with_unpaid_renewals)
        plans.advance_to(row.period_end + timedelta(hours=1))
        plans.sweep()
        plans.advance_to(add_months(row.period_end, 2) - timedelta(hours=1))
    with plans.app.app_context():
        reconciliation.reconcile(plans.shop_app.clock.now() - timedelta(days=70))
    assert plans.shop_app.credits(alice) >= BASIC
    plans.advance_to(plans.shop_app.clock.now() + timedelta(days=20))
    assert plans.shop_app.credits(alice) >= BASIC


def test_the_first_month_alone_has_the_money_of_its_invoice(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", "year")
    plans.pass_months(row, 2)
    query = (
        select(Grant.paid_minor, Grant.currency)
        .join(ScheduledGrant, ScheduledGrant.grant_id == Grant.id)
        .where(ScheduledGrant.user_id == alice.id)
        .order_by(ScheduledGrant.number)
    )
    with plans.app.app_context(), snapshot() as session:
        paid = [tuple(values) for values in session.execute(query)]
    assert paid == [(21000, "USD"), (None, None), (None, None)]


def test_a_year_begun_in_mid_month_and_upgraded_at_once_grants_twelve_months(
    plans: PlanShop,
) -> None:
    """The month that the year ended early overlaps the year, and is none of its months."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.advance_to(row.period_start + timedelta(days=1))
    assert plans.choose(alice, "basic", "year").outcome == "upgraded"
    began = plans.shop_app.clock.now()
    assert plans.choose(alice, "premium", "year").outcome == "upgraded"
    assert plans.granted(alice)[2:] == [PREMIUM - BASIC]
    for number in range(1, 12):
        plans.advance_to(add_months(began, number) + timedelta(hours=1))
        plans.sweep()
    assert plans.granted(alice)[2:] == [PREMIUM - BASIC, *[PREMIUM] * 11]
