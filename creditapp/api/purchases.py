"""Buying by JSON: name a pack or its price, get the address of the checkout."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from flask import Response, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from creditapp import payments
from creditapp.api import api
from creditapp.api.credits import reply
from creditapp.api.models import Answer
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.http.json_provider import read_json, validation_failed
from creditapp.http.openapi import documented
from creditapp.http.security import policy, require_member
from creditapp.payments.purchases.checkout import Order
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.session import PurchaseEnded
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.models import CYCLES
from creditapp.services import get
from creditapp.units import minor_digits
from creditapp.web.credits import PaymentUnavailable

Asked = TypeVar("Asked", bound="Body")


def _plain_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("An amount is a number of dollars, such as 14.99.")
    return value


class Body(BaseModel):
    """What every body of buying may carry."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    idempotency_key: str | None = None


class CheckoutBody(Body):
    """What to buy: a pack or plan by its id, or either by the Stripe price it is sold at."""

    pack_id: str | None = None
    plan_id: str | None = None
    price_id: str | None = None
    cycle: str | None = None
    currency: str | None = None


class AmountBody(Body):
    """What to buy, by its price in dollars."""

    amount: Annotated[
        Decimal,
        BeforeValidator(_plain_number),
        Field(description="The exact dollar price of one pack.", gt=0),
    ]


class CheckoutSessionAnswer(Answer):
    """A checkout: its id at Stripe, and the page to send the buyer to."""

    id: str
    url: str


class CheckoutUrlAnswer(Answer):
    """The page to send the buyer to."""

    url: str


@api.post("/billing/checkout-session")
@policy("user")
@documented(
    "Open the checkout of a pack or plan",
    CheckoutSessionAnswer,
    body=CheckoutBody,
    headers=["Idempotency-Key"],
)
def create_checkout_session() -> Response:
    """Store a purchase and open its checkout; the same key and body give the same one."""
    body = parsed(CheckoutBody)
    pack_id, plan = _named(body)
    if plan is not None:
        purchase = _subscribe(plan, body)
    else:
        currency = (body.currency or "").upper()
        purchase = _buy(pack_id, body, route="checkout-session", currency=currency)
    answer = CheckoutSessionAnswer(id=purchase.checkout_id or "", url=purchase.checkout_url or "")
    return reply(answer, 200, replay_headers(replayed=purchase.replayed))


@api.post("/stripe/create-checkout")
@policy("user")
@documented(
    "Open the checkout of the pack at a dollar price",
    CheckoutUrlAnswer,
    body=AmountBody,
    headers=["Idempotency-Key"],
)
def create_checkout() -> Response:
    """Store a purchase of the one pack that costs the amount, and open its checkout."""
    body = parsed(AmountBody)
    purchase = _buy(_pack_at(body.amount), body, route="create-checkout")
    return reply(
        CheckoutUrlAnswer(url=purchase.checkout_url or ""),
        200,
        replay_headers(replayed=purchase.replayed),
    )


def parsed(model: type[Asked]) -> Asked:
    """Return the request's body, checked; raise ``ValidationFailed``."""
    try:
        return model.model_validate(read_json())
    except ValidationError as error:
        raise validation_failed(error) from None


def _named(body: CheckoutBody) -> tuple[str, PlanOrder | None]:
    """Return the pack's id, or the plan and cycle, that a body names in one of three ways."""
    if sum(name is not None for name in (body.pack_id, body.plan_id, body.price_id)) != 1:
        raise ValidationFailed.of(
            "packId", "Name one thing, by packId, by planId with cycle, or by priceId."
        )
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
    try:
        purchase = plans.subscribe(order, require_member(), key=key_of(body, "checkout-session"))
    except GatewayError:
        raise PaymentUnavailable from None
    except plans.AlreadySubscribed:
        raise Conflict("You have a plan already; POST /api/upgrade-plan changes it.") from None
    return opened(purchase)


def _pack_at(amount: Decimal) -> str:
    found = [
        pack.id
        for pack in get(Catalog).packs
        if pack.currency.lower() == "usd"
        and Decimal(pack.price_minor).scaleb(-minor_digits(pack.currency)) == amount
    ]
    if len(found) != 1:
        raise ValidationFailed.of("amount", "No pack has exactly this price in dollars.")
    return found[0]


def _buy(pack_id: str, body: Body, *, route: str, currency: str = "") -> Purchase:
    order = Order(pack_id=pack_id, catalog_shown="", currency=currency)
    try:
        purchase = payments.start_checkout(order, require_member(), key=key_of(body, route))
    except GatewayError:
        raise PaymentUnavailable from None
    return opened(purchase)


def key_of(body: Body, route: str) -> str:
    """Return the caller's key for this route, or a fresh one: without a key nothing repeats."""
    given: Any = request.headers.get("Idempotency-Key")
    given = body.idempotency_key if given is None else given
    if given is None:
        return f"once:{secrets.token_hex(16)}"
    if not 1 <= len(given) <= 100 or not given.isprintable() or not given.isascii():
        raise ValidationFailed.of("Idempotency-Key", "A key is 1 to 100 printable ASCII letters.")
    return f"{route}:{given}"


def opened(purchase: Purchase) -> Purchase:
    """Return a purchase that has a page to pay on; raises ``PurchaseEnded`` for one without."""
    if not purchase.checkout_url:
        raise PurchaseEnded("This key's purchase has ended; buy with another key.")
    return purchase


def replay_headers(*, replayed: bool) -> dict[str, str]:
    """Return the header that says an answer was given before."""
    return {"Idempotent-Replayed": "true"} if replayed else {}
