"""Preview of an upgrade: its charge and its credits, before it is made.

A service that only reads from Stripe; it may store the price of the chosen plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from creditapp.catalog.products import Plan
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import proration, scheduled_grants
from creditapp.payments.subscriptions.changes import PlanOrder, is_upgrade, refuse_after_reversal
from creditapp.payments.subscriptions.models import Subscription
from creditapp.payments.subscriptions.sync import fetch_subscription
from creditapp.services import get


@dataclass(frozen=True)
class UpgradePreview:
    """Charge and credits of an upgrade made now, and its next payment."""

    plan_name: str
    cycle: str
    charged_minor: int
    currency: str
    credits_micro: int
    renews_minor: int
    renews_at: datetime
    current_name: str


def preview_upgrade(
    subscription: Subscription, plan: Plan, order: PlanOrder
) -> UpgradePreview | None:
    """Return what Stripe would charge for an upgrade now; None if the change is no upgrade.

    Raises ``PlanUnchanged`` if the upgrade would be refused, and ``GatewayError``. The charge
    changes by some cents until the buyer confirms.
    """
    price = plan_prices.find_prices({subscription.price_id}).get(subscription.price_id)
    if price is None or subscription.status != "active":
        return None
    if not is_upgrade(plan, order.cycle, order.seats, price, subscription.quantity):
        return None
    refuse_after_reversal(subscription)
    new_price = plan_prices.ensure_price(plan, order.cycle)
    state = fetch_subscription(subscription.id)
    invoice = get(StripeGateway).preview_change(
        state,
        price_id=new_price.id,
        quantity=order.seats,
        prorate_at=max(now().replace(microsecond=0), state.period_start),
    )
    with snapshot() as session:
        earlier_months = scheduled_grants.scheduled_months(session, subscription.id)
    schedule = proration.credit_schedule(
        invoice, {price.id: price, new_price.id: new_price}, earlier_months
    )
    renews_at = state.period_end
    if order.cycle != price.cycle:
        renews_at = max(line.ends_at for line in invoice.lines)
    return UpgradePreview(
        plan_name=plan.name,
        cycle=order.cycle,
        charged_minor=max(0, invoice.total_minor),
        currency=plan.currency,
        credits_micro=schedule.months[0].credits_micro if schedule.months else 0,
        renews_minor=new_price.price_minor * order.seats,
        renews_at=renews_at,
        current_name=price.plan_name,
    )
