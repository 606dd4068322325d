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
        set_cancellation(subscription, cancel=True)
        return "will_end"
    price = plan_prices.find_price(subscription.price_id)
    if price is None:
        raise PlanUnchanged("Your plan was made elsewhere. Change it under Manage subscription.")
    if (price.plan_id, price.cycle, subscription.quantity) == (plan.id, order.cycle, order.seats):
        return _keep_plan(subscription, price)
    if subscription.status == "past_due":
        raise PlanUnchanged("Your last payment failed. Change your card first, then your plan.")
    if subscription.status != "trialing" and is_upgrade(plan, order, price, subscription.quantity):
        new_price = plan_prices.ensure_price(plan, order.cycle)
        upgrade(subscription, price, new_price, order.seats, confirmed=order.confirmed)
        return "upgraded"
    return _downgrade(subscription, plan, order, price)


def _keep_plan(subscription: Subscription, price: PlanPrice) -> str:
    if subscription.will_change:
        set_next_price(subscription, price.id, subscription.quantity, goes_on=True)
        sync_subscription(subscription.id)
        return "kept"
    if subscription.cancel_at_period_end:
        set_cancellation(subscription, cancel=False)
        return "resumed"
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
    sync_subscription(subscription.id)
    return "will_change"


def is_upgrade(plan: Plan, order: PlanOrder, price: PlanPrice, quantity: int) -> bool:
    """Return whether a choice costs more than what is paid for now, so it is charged at once."""
    paid_minor = price.price_minor * quantity
    if order.cycle == price.cycle:
        return plan.price(order.cycle).price_minor * order.seats > paid_minor
    # From month to year with the same plan or a better one; a paid year is never split.
    return order.cycle == "year" and plan.month.price_minor * order.seats >= paid_minor


def set_cancellation(subscription: Subscription, *, cancel: bool) -> Subscription:
    """Cancel a subscription at the period's end, or resume it; idempotent."""
    if fetch_subscription(subscription.id).cancel_at_period_end != cancel:
        get(StripeGateway).cancel_at_period_end(subscription.id, cancel=cancel)
    return sync_subscription(subscription.id)
