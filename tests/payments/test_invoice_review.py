"""Invoices under review: an operator accepts a price that was made at Stripe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from creditapp.accounts import User
from creditapp.cli import commands
from creditapp.cli import payments as payment_commands
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.subscriptions import invoice_review
from creditapp.payments.subscriptions.models import Invoice, Subscription
from creditapp.stripe_sandbox.state import State
from tests.payments.plan_shop import PlanShop

pytestmark = pytest.mark.in_turn


def new_price(plans: PlanShop, amount_minor: int, **recurring: Any) -> str:
    """Create a price at Stripe that no catalog has."""
    terms: Any = {"interval": "month", **recurring}
    return plans.shop_app.gateway.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": amount_minor,
            "recurring": terms,
            "product_data": {"name": "For a friend"},
        }
    ).id


def move_to(plans: PlanShop, row: Subscription, price_id: str) -> None:
    """Let the next invoice of a subscription charge another price, as an operator does."""
    (item,) = plans.shop_app.gateway.v1.subscriptions.retrieve(row.id)["items"].data
    plans.shop_app.gateway.v1.subscriptions.update(
        row.id, {"items": [{"id": item.id, "price": price_id}], "proration_behavior": "none"}
    )


def under_review(plans: PlanShop, buyer: User) -> Invoice:
    """Return a renewal that charged a price of no catalog."""
    row = plans.subscribe(buyer)
    move_to(plans, row, new_price(plans, 1200))
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    renewal = plans.invoices(buyer)[1]
    assert (renewal.paid_minor, renewal.paid_at) == (1200, None)
    assert renewal.review_reason == "its price is in no catalog"
    return renewal


def accept(plans: PlanShop, invoice: Invoice, **options: Any) -> Invoice:
    with plans.app.app_context():
        return invoice_review.accept_invoice(invoice.id, **options)


def test_an_accepted_invoice_grants_the_plan_that_it_was(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    renewal = under_review(plans, alice)
    for _ in range(2):
        accepted = accept(plans, renewal)
        assert (accepted.review_reason, accepted.credits_micro) == (None, 500_000_000)
        assert accepted.title == "Basic plan, monthly"
    assert plans.granted(alice) == [500, 500]
    with plans.app.app_context():
        report = reconciliation.reconcile(plans.shop_app.clock.now() - timedelta(days=2))
    assert report.ok
    status = plans.status(alice)
    assert (status.plan_id, status.price_minor, status.next_name) == ("basic", 1200, None)


def test_an_accepted_price_grants_its_next_renewals_by_itself(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    accept(plans, under_review(plans, alice))
    row = plans.current(alice)
    assert row is not None
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    assert plans.granted(alice) == [500] * 3


def test_an_operator_can_name_another_plan(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    renewal = under_review(plans, alice)
    for unknown in ("nonsense", "free"):
        with pytest.raises(ValidationFailed, match="--plan: basic, premium"):
            accept(plans, renewal, plan_id=unknown)
    assert accept(plans, renewal, plan_id="premium").title == "Premium plan, monthly"
    assert plans.granted(alice) == [500, 1200]


def test_a_first_invoice_grants_the_plan_that_was_bought(plans: PlanShop) -> None:
    """The subscription has no earlier invoice that tells its plan; its purchase does."""
    alice = plans.shop_app.member()
    purchase = plans.choose(alice, "premium").purchase
    assert purchase is not None
    price_id = new_price(plans, 2500)
    session = plans.shop_app.session(purchase)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        (line,) = session["_line_items"]
        books.put(session | {"_line_items": [line | {"price": books.get("price", price_id)}]})
    plans.shop_app.pay(purchase)
    plans.shop_app.sync(purchase)
    (first,) = plans.invoices(alice)
    assert first.review_reason is not None
    assert accept(plans, first).title == "Premium plan, monthly"
    assert plans.granted(alice) == [1200]


def test_what_cannot_be_accepted_is_refused(plans: PlanShop) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    move_to(plans, row, new_price(plans, 1200, interval="week"))
    plans.sync(row)
    renewal = plans.invoices(alice)[-1]
    with pytest.raises(Conflict, match="not paid by the month or by the year"):
        accept(plans, renewal)
    with plans.app.app_context(), pytest.raises(NotFound):
        invoice_review.accept_invoice("in_nobody")


def test_the_command_prints_what_is_granted(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = plans.shop_app.member()
    renewal = under_review(plans, alice)

    @contextmanager
    def app_context() -> Iterator[Flask]:
        with plans.app.app_context():
            yield plans.app

    monkeypatch.setattr(payment_commands, "app_context", app_context)
    answers = [
        CliRunner().invoke(commands, ["invoice", "accept", renewal.id, *options])
        for options in ([], ["--json"])
    ]
    assert answers[0].output == f"{renewal.id} grants 500 credits: Basic plan, monthly.\n"
    assert json.loads(answers[1].output) == {
        "id": renewal.id,
        "subscription": renewal.subscription_id,
        "title": "Basic plan, monthly",
        "credits": 500,
    }
    assert plans.granted(alice) == [500, 500]
