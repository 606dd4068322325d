"""What people are told about their plans: each thing once, with the right figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.emails import Mail
from creditapp.payments.stripe.records import InvoiceState
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import PASSWORD, ShopApp


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    """The till, with its clock at the bank's."""
    return PlanShop(shop_app)


def told(plans: PlanShop, user: User) -> list[tuple[str, dict[str, Any]]]:
    """Return the mails about payments that were queued for somebody, in their order."""
    query = select(Mail).where(Mail.user_id == user.id).order_by(Mail.created_at, Mail.id)
    with plans.app.app_context(), snapshot() as session:
        return [
            (mail.event, mail.context) for mail in session.scalars(query) if mail.event != "verify"
        ]


def kinds(plans: PlanShop, user: User) -> list[str]:
    return [event for event, _ in told(plans, user)]


def test_each_payment_is_told_once_with_its_receipt(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    for _ in range(3):
        plans.sync(row)
    ((event, context),) = told(plans, alice)
    assert (event, context["plan"], context["total_minor"]) == ("renewal", "Basic", 1500)
    assert context["credits_micro"] == 500 * MICRO
    assert context["path"] == f"/receipts/{plans.invoices(alice)[0].id}"
    plans.live_through(row, 2)
    assert kinds(plans, alice) == ["renewal"] * 3


def test_an_invoice_without_a_plan_on_it_is_told_and_gives_nothing(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    gateway: Any = type(plans.shop_app.gateway)
    whole = gateway.list_invoices

    def with_one_by_hand(self: Any, subscription_id: str) -> tuple[InvoiceState, ...]:
        (first,) = whole(self, subscription_id)
        return first, replace(first, id="in_by_hand", billing_reason="manual", lines=())

    monkeypatch.setattr(gateway, "list_invoices", with_one_by_hand)
    plans.sync(row)
    plans.sync(row)
    assert kinds(plans, alice) == ["renewal"] * 2
    assert plans.given(alice) == [500]


def test_a_payment_is_told_for_what_it_was(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.choose(alice, "premium")
    plans.live_through(row, 1)
    paid = [context["kind"] for event, context in told(plans, alice) if event == "renewal"]
    assert paid == ["begun", "upgraded", "renewed"]
    assert [each.title for each in plans.invoices(alice)] == [
        "Basic plan, monthly",
        "Change to Premium plan, monthly",
        "Premium plan, monthly",
    ]


def test_a_year_tells_what_comes_now_and_that_more_comes(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    plans.subscribe(alice, "premium", "year")
    ((_, context),) = told(plans, alice)
    assert (context["credits_micro"], context["every_month"]) == (1200 * MICRO, True)


def test_changes_are_told_in_one_word_each(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    plans.pass_to(row.period_start + timedelta(days=10))
    plans.choose(alice, "premium")
    plans.choose(alice, "basic")
    plans.choose(alice, "premium")
    plans.choose(alice, "free")
    plans.choose(alice, "premium")
    plans.choose(alice, "free")
    plans.pass_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    changes = [
        context["change"] for event, context in told(plans, alice) if event == "plan_changed"
    ]
    assert changes == ["upgraded", "will_change", "will_end", "resumed", "will_end", "ended"]


def test_a_failed_payment_is_told_at_each_try(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, card="declined-later")
    plans.pass_to(row.period_end + timedelta(hours=2))
    plans.sync(row)
    plans.sync(row)
    assert kinds(plans, alice) == ["renewal", "payment_failed"]
    plans.pass_to(row.period_end + timedelta(days=3, hours=2))
    plans.sync(row)
    assert kinds(plans, alice) == ["renewal", "payment_failed", "payment_failed"]
    plans.pass_to(row.period_end + timedelta(days=30))
    plans.sync(row)
    assert kinds(plans, alice)[-1] == "plan_changed"


def test_refunds_and_disputes_are_told(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    intent = plans.invoices(alice)[0].payment_intent_id
    plans.shop_app.press(f"/payments/{intent}/refund", amount="3.00")
    plans.sync(row)
    plans.shop_app.press(f"/payments/{intent}/dispute")
    plans.sync(row)
    assert kinds(plans, alice) == ["renewal", "refund", "dispute_opened"]
    context = told(plans, alice)[1][1]
    assert (context["refunded_minor"], context["credits_micro"]) == (300, 100 * MICRO)


def test_the_receipt_of_an_invoice_is_its_owners(plans: PlanShop) -> None:
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


def test_a_card_that_ends_before_the_next_payment_is_told_once(plans: PlanShop) -> None:
    from creditapp.payments.subscriptions import card_expiry
    from creditapp.stripe_sandbox.state import State

    def look() -> None:
        with plans.app.app_context():
            card_expiry.email_expiring_cards()

    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    row, other = plans.subscribe(alice), plans.subscribe(bob)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        (card,) = books.find("payment_method", {"customer": row.customer_id})
        last = row.period_end - timedelta(days=32)
        card["card"] |= {"exp_month": last.month, "exp_year": last.year}
        books.put(card)
    look()
    assert "card_expiring" not in kinds(plans, alice)  # too early to say
    plans.pass_to(row.period_end - timedelta(days=8))
    look()
    look()
    assert kinds(plans, alice).count("card_expiring") == 1
    assert "card_expiring" not in kinds(plans, bob)
    context = next(each for event, each in told(plans, alice) if event == "card_expiring")
    assert (context["card"], context["amount_minor"]) == ("Visa ending in 4242", 1500)
    assert other.id != row.id
