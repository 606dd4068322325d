"""Invoices with many lines of many kinds: each is read by what it is, and every month granted."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from structlog.testing import capture_logs

from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.stripe import parsing
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import InvoiceLine
from creditapp.payments.subscriptions.models import Subscription
from creditapp.stripe_sandbox import store
from creditapp.stripe_sandbox.objects.subscription import with_price
from creditapp.stripe_sandbox.state import State
from tests.payments.plan_shop import MICRO, PlanShop
from tests.shop_app import ShopApp
from tests.stripe_sandbox.sandbox_kit import KEY, SECRET, Sandbox

pytestmark = pytest.mark.in_turn


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
    preview = gateway.preview_change(
        state, price_id=new, quantity=1, prorate_at=state.item.period_start
    )
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
    invoice_id = str(shop_app.session(purchase)["invoice"])
    with State.of(shop_app.gateway.sandbox).transaction() as books:
        invoice = books.get("invoice", invoice_id)
        assert invoice is not None
        added = [line_added_by_hand(invoice_id, 0) for _ in range(beside)]
        invoice["lines"]["data"] = [*added, *invoice["lines"]["data"]]
        books.put(invoice)
    assert shop_app.sync(purchase).state == "paid"
    assert plans.granted(alice) == [500]
    (row,) = plans.invoices(alice)
    assert (row.paid_minor, row.review_reason) == (1500, None)


@pytest.mark.parametrize("amount_minor", [500, -300, 0])
@pytest.mark.parametrize("cycle", ["month", "year"])
def test_a_fee_or_a_credit_added_by_hand_costs_no_month(
    plans: PlanShop, amount_minor: int, cycle: str
) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice, "basic", cycle)
    line = line_added_by_hand("in_next", amount_minor, subscription=row.id)
    plans.change_at_stripe("subscription", row.id, _pending=[line])
    plans.advance_to(row.period_end + timedelta(hours=1))
    plans.sweep()
    renewal = plans.invoices(alice)[-1]
    price_minor = 1500 if cycle == "month" else 21000
    assert (renewal.paid_minor, renewal.review_reason) == (price_minor + amount_minor, None)
    assert renewal.credits_micro == (500 if cycle == "month" else 6000) * MICRO
    assert renewal.title == f"Basic plan, {cycle}ly"
    with plans.app.app_context():
        report = reconciliation.reconcile(plans.shop_app.clock.now() - timedelta(days=2))
    assert not report.differences


def test_a_payment_for_lines_added_by_hand_grants_nothing(plans: PlanShop) -> None:
    """An operator invoices a single service to a subscription."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    (first,) = plans.invoices(alice)
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        invoice = books.get("invoice", first.id)
        assert invoice is not None
        lines = invoice["lines"] | {"data": [line_added_by_hand("in_service", 900)]}
        service = {"id": f"in_{row.id}", "billing_reason": "manual", "lines": lines}
        books.put(invoice | service | {"created": invoice["created"] + 1})
    plans.sync(row)
    assert plans.granted(alice) == [500]
    assert plans.invoices(alice)[1].review_reason is None
    assert plans.status(alice).plan_id == "basic"


@pytest.mark.parametrize("first", [True, False])
def test_another_item_of_a_subscription_is_not_the_plan(plans: PlanShop, first: bool) -> None:
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    add_item(plans, row, first=first)
    plans.advance_to(row.period_end + timedelta(hours=1))
    with capture_logs() as logs:
        plans.sweep()
    assert plans.granted(alice) == [500, 500]
    assert plans.invoices(alice)[1].paid_minor == 1500 + 700
    assert [log["log_level"] for log in logs if log["event"] == "invoice has other items"] == [
        "warning"
    ]
    status = plans.status(alice)
    assert (status.plan_id, status.next_name, status.seats) == ("basic", None, 1)
    assert plans.choose(alice, "premium").outcome == "upgraded"
    assert plans.granted(alice)[2:] == [pytest.approx(700, abs=2)]
    assert plans.status(alice).plan_id == "premium"


def test_an_invoice_of_another_item_alone_needs_no_review(plans: PlanShop) -> None:
    """An operator changes the quantity of the other item in mid-period."""
    alice = plans.shop_app.member()
    row = plans.subscribe(alice)
    item = add_item(plans, row, first=True)
    plans.shop_app.gateway.v1.subscriptions.update(
        row.id, {"items": [{"id": item, "quantity": 3}], "proration_behavior": "always_invoice"}
    )
    plans.sync(row)
    update = plans.invoices(alice)[1]
    assert (update.billing_reason, update.review_reason) == ("subscription_update", None)
    assert plans.granted(alice) == [500]
    assert plans.status(alice).plan_id == "basic"


def test_a_recorded_invoice_is_read(gateway: StripeGateway, sandbox: Sandbox) -> None:
    """The recording is of juniorsereno/Nomami-v2, ``stripe-subscription-paid.md`` (basil)."""
    line: dict[str, Any] = {
        "id": "il_1SVC86HOQNg4XnOMdluq1xyJ",  # pragma: allowlist secret
        "object": "line_item",
        "amount": 2990,
        "currency": "brl",
        "description": "1 × noMami - Assinatura Mensal (a R$ 29.90 / month)",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": "in_1SVC87HOQNg4XnOMdHAlqDva",  # pragma: allowlist secret
        "livemode": True,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": "sub_1SVC89HOQNg4XnOMoa93kOB2",  # pragma: allowlist secret
                "subscription_item": "si_TS6KO8TI6dkdxf",
            },
            "type": "subscription_item_details",
        },
        "period": {"end": 1766153586, "start": 1763561586},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {
                "price": "price_1SUyGiHOQNg4XnOMHSqLxNl9",  # pragma: allowlist secret
                "product": "prod_TRs00eb9Wd4ZEJ",
            },
            "type": "price_details",
            "unit_amount_decimal": "2990",
        },
        "quantity": 1,
        "taxes": [],
    }
    by_hand = line_added_by_hand("in_1SVC87HOQNg4XnOMdHAlqDva", 500)
    recorded = [stripe.InvoiceLineItem.construct_from(one, None) for one in (by_hand, line)]
    sandbox.subscribe(sandbox.price(1500))
    (invoice,) = sandbox.stripe.v1.invoices.list().data
    (read,) = parsing.read_invoice(invoice, recorded).lines
    assert read == InvoiceLine(
        price_id="price_1SUyGiHOQNg4XnOMHSqLxNl9",
        amount_minor=2990,
        quantity=1,
        starts_at=datetime.fromtimestamp(1763561586, UTC),
        ends_at=datetime.fromtimestamp(1766153586, UTC),
        proration=False,
        item_id="si_TS6KO8TI6dkdxf",
    )
    # What the sandbox writes has every field of the recording.
    (own,) = invoice.lines.data
    assert set(line) <= set(own.to_dict())
    assert set(line["parent"]["subscription_item_details"]) == set(
        own.to_dict()["parent"]["subscription_item_details"]
    )


def line_added_by_hand(
    invoice_id: str, amount_minor: int, subscription: str | None = None
) -> dict[str, Any]:
    """Return a line that an operator added, as Stripe writes it.

    The shape is that of zulip/zulip, ``corporate/tests/stripe_fixtures/
    free_trial_upgrade_by_card--Invoice.finalize_invoice.1.json`` (API 2025-11-17.clover): the line
    has a price, which Stripe made for it.
    """
    number = secrets.token_hex(8)
    details = {
        "invoice_item": f"ii_{number}",
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription,
    }
    return {
        "id": f"il_{number}",
        "object": "line_item",
        "amount": amount_minor,
        "currency": "usd",
        "description": "Set-up",
        "discount_amounts": [],
        "discountable": False,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": {},
        "parent": {
            "invoice_item_details": details,
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": {"end": 1_790_000_000, "start": 1_790_000_000},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": f"price_{number}", "product": f"prod_{number}"},
            "type": "price_details",
            "unit_amount_decimal": str(amount_minor),
        },
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": subscription,
        "subtotal": amount_minor,
        "taxes": [],
    }


def add_item(plans: PlanShop, row: Subscription, *, first: bool) -> str:
    """Add a recurring item for $7.00 to a subscription at Stripe; return its id."""
    price = plans.shop_app.gateway.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 700,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Support"},
        }
    )
    with State.of(plans.shop_app.gateway.sandbox).transaction() as books:
        subscription, stored = books.get("subscription", row.id), books.get("price", price.id)
        assert subscription is not None
        assert stored is not None
        (plan,) = subscription["items"]["data"]
        item_id = f"si_{secrets.token_hex(7)}"
        seconds = -1 if first else 1
        item = plan | {"id": item_id, "created": plan["created"] + seconds}
        item = with_price(item, stored, 1)
        data = [item, plan] if first else [plan, item]
        books.put(subscription | {"items": subscription["items"] | {"data": data}})
    return item_id
