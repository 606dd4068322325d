"""Plan actions of a buyer: subscribe, upgrade now, downgrade or cancel at the period's end.

A service: every function may call Stripe, with no transaction open, and posts no credits itself;
``sync_subscription`` posts what came of the change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.catalog.products import Plan
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading
from creditapp.errors import NotFound, ValidationFailed
from creditapp.payments import customers, idempotency
from creditapp.payments.purchases import packs
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import changes as plan_changes
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions import upgrades
from creditapp.payments.subscriptions.changes import PlanOrder, PlanUnchanged
from creditapp.payments.subscriptions.models import CYCLES, Subscription
from creditapp.payments.subscriptions.upgrades import UpgradeQuote
from creditapp.services import get

ROUTE = "choose-plan"
"""The route under which keys of plan changes are stored; callers put their own into each key."""

PORTAL_FLOWS = {
    "card": "payment_method_update",
    "cancel": "subscription_cancel",
    "plan": "subscription_update",
}


@dataclass(frozen=True)
class PlanChoice:
    """The result of choosing a plan.

    ``outcome`` is ``checkout`` (go to the purchase's page), ``upgraded``, ``will_change``,
    ``will_end``, ``resumed`` or ``kept``.
    """

    outcome: str
    purchase: Purchase | None = None
    subscription: Subscription | None = None
    replayed: bool = False
    """Whether the same request had this result before."""


@dataclass(frozen=True)
class UpgradePreview:
    """Charge and credits of an upgrade made now, and its next payment.

    An order with the ``quote`` is charged at most that and granted at least that, for an hour.
    """

    plan_name: str
    cycle: str
    quote: UpgradeQuote
    currency: str
    renews_minor: int
    renews_at: datetime
    current_name: str


class AlreadySubscribed(PlanUnchanged):
    """A buyer with a plan cannot subscribe to another; they can change the one they have."""


def choose_plan(order: PlanOrder, buyer: User, *, key: str) -> PlanChoice:
    """Subscribe, or change the buyer's current plan; safe to repeat with the same ``key``.

    The key is looked up first: what it bought or changed before is returned, even if the buyer has
    another plan since. Only the outcome of a change is stored, no prices. Of two concurrent
    requests with one key, one changes the plan and both return its outcome.

    Raises ``NotFound`` for an unknown plan, ``ValidationFailed``, ``PackChanged``,
    ``PlanUnchanged``, ``PaymentDeclined``, ``IdempotencyKeyReused``, ``IdempotencyInProgress`` and
    ``GatewayError``; a refused request does not use up its key.
    """
    stop_reading()
    purchase = plan_checkout.resume_checkout(order, buyer, key=key)
    if purchase is not None:
        return PlanChoice("checkout", purchase=purchase, replayed=True)
    request = idempotency.Request(f"user:{buyer.id}", ROUTE, key, order.digest())
    response = idempotency.stored_response(request)
    if response is not None:
        return _read_response(response, replayed=True)
    plan = _find_plan(order)
    if _find_subscription(buyer) is None:
        purchase = _start_checkout(order, plan, buyer, key)
        return PlanChoice("checkout", purchase=purchase, replayed=purchase.replayed)
    response, replayed = idempotency.run_once(request, lambda: _change_plan(order, plan, buyer))
    return _read_response(response, replayed=replayed)


def subscribe(order: PlanOrder, buyer: User, *, key: str) -> Purchase:
    """Open the checkout of a plan; never change an existing subscription.

    Raises ``AlreadySubscribed`` for a buyer who has a plan, unless this key began it; otherwise
    like ``choose_plan``.
    """
    stop_reading()
    purchase = plan_checkout.resume_checkout(order, buyer, key=key)
    if purchase is not None:
        return purchase
    plan = _find_plan(order)
    if _find_subscription(buyer) is not None:
        raise AlreadySubscribed("You have a plan already. Change it instead.")
    return _start_checkout(order, plan, buyer, key)


def preview_upgrade(order: PlanOrder, buyer: User) -> UpgradePreview | None:
    """Return what an upgrade would charge and grant now; None if the choice is no upgrade.

    Raises like ``choose_plan``; changes nothing, but may store the price of the chosen plan.
    """
    plan = _find_plan(order)
    return plan_prices.with_price(plan, order.cycle, lambda: _preview_upgrade(order, plan, buyer))


def _preview_upgrade(order: PlanOrder, plan: Plan, buyer: User) -> UpgradePreview | None:
    stop_reading()
    subscription = _find_subscription(buyer)
    price = plan_prices.find_price(subscription.price_id) if subscription else None
    if subscription is None or price is None or subscription.status != "active":
        return None
    if not plan_changes.is_upgrade(plan, order, price, subscription.quantity):
        return None
    upgrades.refuse_after_reversal(subscription)
    new_price = plan_prices.ensure_price(plan, order.cycle)
    quoted = upgrades.quote_upgrade(subscription, new_price, order.seats)
    if quoted is None:
        return None
    quote, renews_at = quoted
    return UpgradePreview(
        plan_name=plan.name,
        cycle=order.cycle,
        quote=quote,
        currency=plan.currency,
        renews_minor=new_price.price_minor * order.seats,
        renews_at=renews_at,
        current_name=price.plan_name,
    )


def cancel(buyer: User) -> Subscription:
    """Cancel the buyer's plan at the end of the paid period; idempotent.

    Raises ``PlanUnchanged`` without a plan, and ``GatewayError``.
    """
    return plan_changes.set_cancellation(_require_subscription(buyer), cancel=True)


def resume(buyer: User) -> Subscription:
    """Take back a cancellation; raises like ``cancel``."""
    return plan_changes.set_cancellation(_require_subscription(buyer), cancel=False)


def portal_url(buyer: User, flow: str = "") -> str:
    """Return the URL where the buyer manages card, invoices and plan at Stripe.

    ``flow`` opens one task directly: a key of ``PORTAL_FLOWS``, or empty. Raises ``GatewayError``.
    """
    stop_reading()
    subscription = _find_subscription(buyer)
    if subscription is not None:
        try:
            return _open_portal(subscription.customer_id, flow, subscription.id)
        except GatewayError as error:
            if error.code != "resource_missing":
                raise
        # Stripe has lost the customer or the subscription, which ends the plan here too.
        subscription_sync.sync_subscription(subscription.id)
    card_flow = flow if flow == "card" else ""
    return customers.with_customer(buyer, lambda customer_id: _open_portal(customer_id, card_flow))


def _open_portal(customer_id: str, flow: str, subscription_id: str | None = None) -> str:
    settings = get(Settings)
    return get(StripeGateway).create_portal(
        customer_id=customer_id,
        return_url=settings.billing_portal_return_url or f"{settings.site_url}/dashboard",
        flow=PORTAL_FLOWS.get(flow),
        subscription_id=subscription_id,
    )


def _find_plan(order: PlanOrder) -> Plan:
    """Return the ordered plan; refuse a cycle, seats or prices that it does not have."""
    plan = get(Catalog).plan(order.plan_id)
    if plan is None:
        raise NotFound("There is no such plan.")
    if order.cycle not in CYCLES:
        raise ValidationFailed.of("cycle", "A plan is paid by the month or by the year.")
    if not plan.seats_min <= order.seats <= plan.seats_max:
        seats = f"{plan.seats_min} to {plan.seats_max} seats" if plan.seats_max > 1 else "one seat"
        raise ValidationFailed.of("seats", f"{plan.name} has {seats}.")
    packs.refuse_changed_prices(order.catalog_shown)
    return plan


def _start_checkout(order: PlanOrder, plan: Plan, buyer: User, key: str) -> Purchase:
    if plan.free:
        raise PlanUnchanged("You are on the Free plan already.")
    return plan_checkout.start_plan_checkout(order, plan, buyer, key=key)


def _change_plan(order: PlanOrder, plan: Plan, buyer: User) -> str:
    """Change the current plan and return the outcome to store, as JSON."""
    subscription = _require_subscription(buyer)
    outcome = plan_changes.change_plan(subscription, plan, order)
    return json.dumps({"outcome": outcome, "subscription": subscription.id})


def _read_response(response: str, *, replayed: bool) -> PlanChoice:
    stored = json.loads(response)
    with snapshot() as session:
        subscription = session.get(Subscription, stored["subscription"])
    return PlanChoice(stored["outcome"], subscription=subscription, replayed=replayed)


def _require_subscription(buyer: User) -> Subscription:
    stop_reading()
    subscription = _find_subscription(buyer)
    if subscription is None:
        raise PlanUnchanged("You have no plan to change.")
    return subscription


def _find_subscription(buyer: User) -> Subscription | None:
    with snapshot() as session:
        return subscription_sync.find_current(session, buyer.id)
