"""Invoices with more lines than Stripe embeds: every line is read, and every credit granted."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditapp.payments.stripe.client import StripeGateway
from creditapp.stripe_sandbox import store
from creditapp.stripe_sandbox.state import State
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp
from tests.stripe_sandbox.sandbox_kit import KEY, SECRET, Sandbox


@pytest.fixture
def gateway(sandbox: Sandbox) -> StripeGateway:
    return StripeGateway(KEY, SECRET, sandbox.server.url)


def subscribe_to_twelve_prices(sandbox: Sandbox) -> tuple[str, list[str]]:
    """Return the id of a subscription to twelve prices, and the ids of the prices."""
    prices = [sandbox.price(1000 + number) for number in range(12)]
    items = [{"price": price, "quantity": 1} for price in prices]
    return sandbox.subscribe(prices[0], line_items=items).id, prices


def test_every_line_of_an_invoice_is_read(gateway: StripeGateway, sandbox: Sandbox) -> None:
    began = datetime.now(UTC) - timedelta(seconds=5)
    subscription_id, prices = subscribe_to_twelve_prices(sandbox)
    short = sandbox.subscribe(sandbox.price(900))
    (invoice,) = gateway.list_invoices(subscription_id)
    assert [line.price_id for line in invoice.lines] == prices
    invoices = {invoice.subscription_id: invoice for invoice in gateway.list_invoices_since(began)}
    assert invoices[subscription_id] == invoice
    assert [line.amount_minor for line in invoices[short.id].lines] == [900]


def test_every_line_of_a_preview_is_read(
    gateway: StripeGateway, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A change of plan bills two lines, so only one is embedded here.
    monkeypatch.setattr(store, "LINES_EMBEDDED_MAX", 1)
    old, new = sandbox.price(1500), sandbox.price(2900)
    state = gateway.retrieve_subscription(sandbox.subscribe(old).id)
    preview = gateway.preview_change(state, price_id=new, quantity=1, prorate_at=state.period_start)
    assert [(line.price_id, line.amount_minor) for line in preview.lines] == [
        (old, -1500),
        (new, 2900),
    ]


@pytest.mark.parametrize("beside", [9, 10, 120])
def test_a_plan_grants_its_credits_behind_any_number_of_other_lines(
    shop_app: ShopApp, beside: int
) -> None:
    """An operator adds lines by hand; Stripe lists them before the plan's own."""
    plans = PlanShop(shop_app)
    alice = shop_app.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    shop_app.pay(purchase)
    _add_lines(shop_app, str(shop_app.session(purchase)["invoice"]), beside)
    assert shop_app.sync(purchase).state == "paid"
    assert plans.granted(alice) == [500]
    (invoice,) = plans.invoices(alice)
    assert (invoice.paid_minor, invoice.review_reason) == (1500, None)


def _add_lines(shop_app: ShopApp, invoice_id: str, count: int) -> None:
    with State.of(shop_app.gateway.sandbox).transaction() as books:
        invoice = books.get("invoice", invoice_id)
        assert invoice is not None
        (line,) = invoice["lines"]["data"]
        added: list[dict[str, Any]] = []
        for number in range(count):
            changes = {"id": f"{line['id']}{number}", "amount": 0, "subtotal": 0, "pricing": None}
            added.append(copy.deepcopy(line) | changes)
        invoice["lines"]["data"] = [*added, line]
        books.put(invoice)
