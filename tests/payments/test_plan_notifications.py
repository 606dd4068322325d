"""Emails about plans: each event once, with the right amounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.emails import Email
from creditapp.payments.stripe.records import DisputeState, InvoiceState, RefundState, Reversals
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import PASSWORD

pytestmark = pytest.mark.in_turn


def queued_emails(plans: PlanShop, user: User) -> list[tuple[str, dict[str, Any]]]:
    """Return events and contexts of the emails about payments queued for a user, in order."""
    query = select(Email).where(Email.user_id == user.id).order_by(Email.created_at, Email.id)
    with plans.app.app_context(), snapshot() as session:
        return [
            (mail.event, mail.context) for mail in session.scalars(query) if mail.event != "verify"
        ]


def email_events(plans: PlanShop, user: User) -> list[str]:
    return [event for event, _ in queued_emails(plans, user)]


def test_each_payment_is_emailed_once_with_its_receipt(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    for _ in range(3):
        plans.sync(row)
    ((event, context),) = queued_emails(plans, alice)
    assert (event, context["plan"], context["total_minor"]) == ("renewal", "Basic", 1500)
    assert context["credits_micro"] == 500 * MICRO
    assert context["path"] == f"/receipts/{plans.invoices(alice)[0].id}"
    plans.pass_months(row, 2)
    assert email_events(plans, alice) == ["renewal"] * 3


def test_an_invoice_without_a_plan_is_emailed_and_grants_nothing(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    gateway: Any = type(plans.shop_app.gateway)
    list_invoices = gateway.list_invoices

    def with_a_manual_invoice(self: Any, subscription_id: str) -> tuple[InvoiceState, ...]:
        (first,) = list_invoices(self, subscription_id)
        return first, replace(first, id="in_manual", billing_reason="manual", lines=())

    monkeypatch.setattr(gateway, "list_invoices", with_a_manual_invoice)
    plans.sync(row)
    plans.sync(row)
    assert email_events(plans, alice) == ["renewal"] * 2
    assert plans.granted(alice) == [500]


def test_the_email_names_the_kind_of_payment(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.advance_to(row.period_start + timedelta(days=1))  # invoices are sorted by the second
    plans.choose(alice, "premium")
    plans.pass_months(row, 1)
    renewals = [context for event, context in queued_emails(plans, alice) if event == "renewal"]
    assert [context["kind"] for context in renewals] == ["begun", "upgraded", "renewed"]
    assert [invoice.title for invoice in plans.invoices(alice)] == [
        "Basic plan, monthly",
        "Change to Premium plan, monthly",
        "Premium plan, monthly",
    ]


def test_the_email_about_a_year_has_the_first_months_credits(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "premium", "year")
    ((_, context),) = queued_emails(plans, alice)
    assert (context["credits_micro"], context["every_month"]) == (1200 * MICRO, True)


def test_each_change_of_plan_is_emailed_once(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.advance_to(row.period_start + timedelta(days=10))
    plans.choose(alice, "premium")
    plans.choose(alice, "basic")
    plans.choose(alice, "premium")
    plans.choose(alice, "free")
    plans.choose(alice, "premium")
    plans.choose(alice, "free")
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    changes = [
        context["change"]
        for event, context in queued_emails(plans, alice)
        if event == "plan_changed"
    ]
    assert changes == ["upgraded", "will_change", "will_end", "resumed", "will_end", "ended"]


def test_a_failed_payment_is_emailed_at_each_attempt(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, card="declined-later")
    plans.advance_to(row.period_end + timedelta(hours=2))
    plans.sync(row)
    plans.sync(row)
    assert email_events(plans, alice) == ["renewal", "payment_failed"]
    plans.advance_to(row.period_end + timedelta(days=3, hours=2))
    plans.sync(row)
    assert email_events(plans, alice) == ["renewal", "payment_failed", "payment_failed"]
    plans.advance_to(row.period_end + timedelta(days=30))
    plans.sync(row)
    assert email_events(plans, alice)[-1] == "plan_changed"


def test_refunds_and_disputes_are_emailed(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    intent = plans.invoices(alice)[0].payment_intent_id
    plans.shop_app.press(f"/payments/{intent}/refund", amount="3.00")
    plans.sync(row)
    plans.shop_app.press(f"/payments/{intent}/dispute")
    plans.sync(row)
    assert email_events(plans, alice) == ["renewal", "refund", "dispute_opened"]
    context = queued_emails(plans, alice)[1][1]
    assert (context["refunded_minor"], context["credits_micro"]) == (300, 100 * MICRO)


def test_only_the_owner_sees_the_receipt_of_an_invoice(plans: PlanShop) -> None:
    from tests.app_factory import Person

    alice = plans.shop_app.member()
    plans.subscribe(alice)
    invoice = plans.invoices(alice)[0]
    stranger = plans.shop_app.person()
    assert stranger.browser.get(f"/receipts/{invoice.id}").status_code == 404
    owner = Person(plans.app)
    owner.post("/auth/login", {"email": alice.email, "password": PASSWORD})
    page = owner.browser.get(f"/receipts/{invoice.id}")
    assert page.status_code == 200
    for words in ("Basic plan, monthly", "$15.00", invoice.number or invoice.id):
        assert words in page.text
    pdf = owner.browser.get(f"/receipts/{invoice.id}.pdf")
    assert pdf.data.startswith(b"%PDF")


def test_a_card_that_expires_before_the_next_payment_is_emailed_once(plans: PlanShop) -> None:
    from creditapp.payments.subscriptions import card_expiry
    from creditapp.stripe_sandbox.state import State

    def run_daily_job() -> None:
        with plans.app.app_context():
            card_expiry.email_expiring_cards()

    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    row, other = plans.subscribe(alice), plans.subscribe(bob)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        (card,) = books.find("payment_method", {"customer": row.customer_id})
        last = row.period_end - timedelta(days=32)
        card["card"] |= {"exp_month": last.month, "exp_year": last.year}
        books.put(card)
    run_daily_job()
    assert "card_expiring" not in email_events(plans, alice)  # too early
    plans.advance_to(row.period_end - timedelta(days=8))
    run_daily_job()
    run_daily_job()
    assert email_events(plans, alice).count("card_expiring") == 1
    assert "card_expiring" not in email_events(plans, bob)
    context = next(
        context for event, context in queued_emails(plans, alice) if event == "card_expiring"
    )
    assert (context["card"], context["amount_minor"]) == ("Visa ending in 4242", 1500)
    assert other.id != row.id


def refunded_amounts(plans: PlanShop, user: User) -> list[tuple[bool, int]]:
    """Return of each email about a refund whether it failed, and its amount."""
    return [
        (context["undone"], context["refunded_minor"])
        for event, context in queued_emails(plans, user)
        if event == "refund"
    ]


def test_each_refund_is_emailed_with_what_is_new(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    intent = plans.invoices(alice)[0].payment_intent_id
    plans.refund(intent, "3.00")
    plans.sync(row)
    second = plans.refund(intent, "5.00")
    for _ in range(2):
        plans.sync(row)
    plans.shop_app.press(f"/refunds/{second}/fail")
    plans.sync(row)
    assert refunded_amounts(plans, alice) == [(False, 300), (False, 500), (True, 500)]


@pytest.mark.parametrize("refunded", ["", "3.00"])
def test_a_lost_dispute_is_not_emailed_as_a_refund(plans: PlanShop, refunded: str) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    intent = plans.invoices(alice)[0].payment_intent_id
    if refunded:
        plans.refund(intent, refunded)
        plans.sync(row)
    dispute = plans.dispute(intent)
    plans.sync(row)
    plans.decide(dispute, "lost")
    for _ in range(2):
        plans.sync(row)
    assert refunded_amounts(plans, alice) == ([(False, 300)] if refunded else [])
    assert email_events(plans, alice)[-2:] == ["dispute_opened", "dispute_closed"]
    assert plans.invoices(alice)[0].refunded_minor == 1500


def test_a_refund_beside_a_lost_dispute_is_emailed_with_its_own_amount(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispute is of a part of the payment, and both are read in one sync."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    refund = RefundState("re_1", 400, "succeeded")
    for reversals in (
        Reversals(disputes=(DisputeState("du_1", 600, "needs_response"),)),
        Reversals((refund,), (DisputeState("du_1", 600, "lost"),)),
    ):
        monkeypatch.setattr(
            type(plans.shop_app.gateway), "reversals_of", lambda *_, now=reversals: now
        )
        plans.sync(row)
    assert refunded_amounts(plans, alice) == [(False, 400)]
    opened, *later = email_events(plans, alice)[1:]
    assert opened == "dispute_opened"
    assert sorted(later) == ["dispute_closed", "refund"]  # of one sync, so in no promised order
    assert plans.invoices(alice)[0].refunded_minor == 1000
