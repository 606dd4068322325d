"""Changes of a plan: an upgrade is charged at once, a downgrade waits for the period's end.

A service: it calls Stripe with no transaction open, commits its own short transactions, and posts
no credits; ``sync_subscription`` does that afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from creditapp.catalog.products import Plan
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.models import PlanPrice, Subscription
from creditapp.payments.subscriptions.sync import fetch_subscription, sync_subscription
from creditapp.payments.subscriptions.upgrades import (
    PlanUnchanged,
    UpgradeQuote,
    set_next_price,
    upgrade,
)
from creditapp.services import get


@dataclass(frozen=True)
class PlanOrder:
    """A choice of plan, cycle (``month`` or ``year``) and seats, with the catalog digest shown."""

    plan_id: str
    cycle: str = "month"
    seats: int = 1
    catalog_shown: str = ""
    return_to: str = "/dashboard"
    confirmed: UpgradeQuote | None = None
    """The quote of an upgrade that its page showed; the digest is the same without it."""

    def digest(self) -> str:
        """Return the digest of what is being bought."""
        text = f"plan\n{self.plan_id}\n{self.cycle}\n{self.seats}\n{self.catalog_shown}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def change_plan(subscription: Subscription, plan: Plan, order: PlanOrder) -> str:
    """Change a current subscription to the chosen plan and sync it; return the outcome.

    See ``plans.PlanChoice`` for the outcomes and ``plans.choose_plan`` for the errors.
    """
    return plan_prices.with_price(
        plan, order.cycle, lambda: _change_plan(subscription, plan, order)
    )


def _change_plan(subscription: Subscription, plan: Plan, order: PlanOrder) -> str:
    if plan.free:
        return _outcome(set_cancellation(subscription, cancel=True), "will_end")
    price = plan_prices.find_price(subscription.price_id)
    if price is None:
        raise PlanUnchanged("Your plan was made elsewhere. Change it under Manage subscription.")
    if (price.plan_id, price.cycle, subscription.quantity) == (plan.id, order.cycle, order.seats):
        return _keep_plan(subscription, price)
    if subscription.status == "past_due":
        raise PlanUnchanged("Your last payment failed. Change your card first, then your plan.")
    if subscription.status != "trialing" and is_upgrade(plan, order, price, subscription.quantity):
        new_price = plan_prices.ensure_price(plan, order.cycle)
        synced = upgrade(subscription, price, new_price, order.seats, confirmed=order.confirmed)
        is_done = synced.is_on(new_price.id, order.seats)
        return "upgraded" if is_done else _outcome(synced, "will_change")
    return _downgrade(subscription, plan, order, price)


def _keep_plan(subscription: Subscription, price: PlanPrice) -> str:
    if subscription.will_change:
        set_next_price(subscription, price.id, subscription.quantity, goes_on=True)
        return _outcome(sync_subscription(subscription.id), "kept")
    if subscription.cancel_at is not None:
        return _outcome(set_cancellation(subscription, cancel=False), "resumed")
    raise PlanUnchanged("You are on this plan already.")


def _downgrade(subscription: Subscription, plan: Plan, order: PlanOrder, price: PlanPrice) -> str:
    """Change what the next invoice charges; the paid period stays as it is."""
    if order.cycle != price.cycle and subscription.status != "trialing":
        raise PlanUnchanged(
            f"Your {price.cycle} is paid until {subscription.period_end:%d %B %Y}. Let it end "
            f"then, and choose the {order.cycle} afterwards."
        )
    new_price = plan_prices.ensure_price(plan, order.cycle)
    # Choosing a plan takes back an earlier cancellation.
    set_next_price(subscription, new_price.id, order.seats, goes_on=True)
    return _outcome(sync_subscription(subscription.id), "will_change")


def _outcome(synced: Subscription, asked: str) -> str:
    """Return the outcome that the sync found, which is the one asked for in the ordinary case.

    Another window, the portal or the dashboard may have changed the subscription meanwhile.
    """
    if synced.cancel_at is not None:
        return "will_end"
    if synced.will_change:
        return "will_change"
    return asked if asked in ("kept", "resumed") else "resumed"


def is_upgrade(plan: Plan, order: PlanOrder, price: PlanPrice, quantity: int) -> bool:
    """Return whether a choice costs more than what is paid for now, so it is charged at once."""
    paid_minor = price.price_minor * quantity
    if order.cycle == price.cycle:
        return plan.price(order.cycle).price_minor * order.seats > paid_minor
    # From month to year with the same plan or a better one; a paid year is never split.
    return order.cycle == "year" and plan.month.price_minor * order.seats >= paid_minor


def set_cancellation(subscription: Subscription, *, cancel: bool) -> Subscription:
    """Cancel a subscription at the period's end, or resume it; return it as it is then.

    Idempotent. A subscription that ends sooner than its period stays canceled as it is.
    """
    gateway, state = get(StripeGateway), fetch_subscription(subscription.id)
    if cancel and (state.cancel_at is None or state.cancel_at > state.item.period_end):
        gateway.cancel_at_period_end(state)
    elif not cancel and state.cancel_at is not None:
        gateway.resume(state)
    return sync_subscription(subscription.id)
