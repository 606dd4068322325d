"""Checkouts of packs and plans."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BeforeValidator, Field

from creditapp import payments
from creditapp.api.requests import IdempotentBody, idempotency_key, parse_body, replay_headers
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Schema
from creditapp.http.sessions import require_account
from creditapp.http.stripe_requests import asks_stripe
from creditapp.payments.purchases.checkout import PurchaseEnded
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.packs import Order
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import CYCLES
from creditapp.services import get
from creditapp.units import minor_to_decimal

routes = Blueprint("purchases", __name__)


def _plain_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("An amount is a number of dollars, such as 14.99.")
    return value


class CheckoutBody(IdempotentBody):
    """The product to buy: a pack or plan by its id, or either by its Stripe price."""

    pack_id: str | None = None
    plan_id: str | None = None
    price_id: str | None = None
    cycle: str | None = None
    currency: str | None = None


class AmountBody(IdempotentBody):
    """The pack to buy, by its price in dollars."""

    amount: Annotated[
        Decimal,
        BeforeValidator(_plain_number),
        Field(description="The exact dollar price of one pack.", gt=0),
    ]


class CheckoutSessionAnswer(Schema):
    """A checkout: its id at Stripe and the URL of its page."""

    id: str
    url: str


class CheckoutUrlAnswer(Schema):
    """The URL to send the buyer to."""

    url: str


@routes.post("/billing/checkout-session")
@policy("user", scope="purchase")
@asks_stripe
@Documented(
    "Open the checkout of a pack or plan",
    CheckoutSessionAnswer,
    body=CheckoutBody,
    headers=["Idempotency-Key"],
    refuses=[NotFound],
)
def create_checkout_session() -> Response:
    """Store a purchase and open its checkout; the same key and body return the same one."""
    body = parse_body(CheckoutBody)
    pack_id, plan = _product(body)
    if plan is not None:
        purchase = _subscribe(plan, body)
    else:
        currency = (body.currency or "").upper()
        purchase = _buy(pack_id, body, route="checkout-session", currency=currency)
    session = CheckoutSessionAnswer(id=purchase.checkout_id or "", url=purchase.checkout_url or "")
    return json_response(session, 200, replay_headers(replayed=purchase.replayed))


@routes.post("/stripe/create-checkout")
@policy("user", scope="purchase")
@asks_stripe
@Documented(
    "Open the checkout of the pack at a dollar price",
    CheckoutUrlAnswer,
    body=AmountBody,
    headers=["Idempotency-Key"],
    refuses=[NotFound],
)
def create_checkout() -> Response:
    """Store a purchase of the one pack that costs the amount, and open its checkout."""
    body = parse_body(AmountBody)
    purchase = _buy(_pack_at(body.amount), body, route="create-checkout")
    return json_response(
        CheckoutUrlAnswer(url=purchase.checkout_url or ""),
        200,
        replay_headers(replayed=purchase.replayed),
    )


def _product(body: CheckoutBody) -> tuple[str, PlanOrder | None]:
    """Return the pack's id, or the plan and cycle, that a body names in one of three ways."""
    if sum(name is not None for name in (body.pack_id, body.plan_id, body.price_id)) != 1:
        raise ValidationFailed.of("packId", "Send one of packId, planId with cycle, and priceId.")
    if body.pack_id is not None:
        return body.pack_id, None
    if body.plan_id is not None:
        return "", PlanOrder(body.plan_id, body.cycle or "month")
    values, catalog = get(Settings).environ, get(Catalog)
    for pack in catalog.packs:
        if pack.stripe_price(values) == body.price_id:
            return pack.id, None
    for plan in catalog.plans:
        for cycle in CYCLES:
            if plan.price(cycle).stripe_price(values) == body.price_id:
                return "", PlanOrder(plan.id, cycle)
    raise NotFound("There is no such price.")


def _subscribe(order: PlanOrder, body: CheckoutBody) -> Purchase:
    key = idempotency_key(body.idempotency_key, "checkout-session")
    try:
        purchase = plans.subscribe(order, require_account(), key=key)
    except plans.AlreadySubscribed:
        raise Conflict("You have a plan already; change it with POST /api/upgrade-plan.") from None
    return require_open(purchase)


def _pack_at(amount: Decimal) -> str:
    pack_ids = [
        pack.id
        for pack in get(Catalog).packs
        if pack.currency == "USD" and minor_to_decimal(pack.price_minor, "USD") == amount
    ]
    if len(pack_ids) != 1:
        raise ValidationFailed.of("amount", "No pack has exactly this price in dollars.")
    return pack_ids[0]


def _buy(pack_id: str, body: IdempotentBody, *, route: str, currency: str = "") -> Purchase:
    order = Order(pack_id=pack_id, catalog_shown="", currency=currency)
    key = idempotency_key(body.idempotency_key, route)
    return require_open(payments.start_checkout(order, require_account(), key=key))


def require_open(purchase: Purchase) -> Purchase:
    """Return the purchase if it can be paid; raise ``PurchaseEnded`` if its checkout has ended."""
    if not purchase.checkout_url:
        raise PurchaseEnded("This key's purchase has ended; buy with another key.")
    return purchase
