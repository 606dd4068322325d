"""Changes of a plan: an upgrade is charged at once, a downgrade waits for the period's end.

A service: it calls Stripe with no transaction open, commits its own short transactions, and posts
no credits; ``sync_subscription`` does that afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, select

from creditapp import clock
from creditapp.catalog.products import Plan
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import Conflict
from creditapp.ids import new_id
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.models import Invoice, PlanPrice, Subscription
from creditapp.payments.subscriptions.sync import fetch_subscription, sync_subscription
from creditapp.services import get

UPGRADE_RETRY = timedelta(hours=1)
"""A second request for the same upgrade within this time is a retry of the first."""

log = structlog.get_logger(__name__)


class PlanUnchanged(Conflict):
    """The chosen plan is not available this way now; the detail says what is."""

    title = "The plan stays as it is"


class PaymentDeclined(Conflict):
    """The card was not charged, so the plan did not change."""

    title = "The payment was declined"


@dataclass(frozen=True)
class PlanOrder:
    """A choice of plan, cycle (``month`` or ``year``) and seats, with the catalog digest shown."""

    plan_id: str
    cycle: str = "month"
    seats: int = 1
    catalog_shown: str = ""
    return_to: str = "/dashboard"

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
        return _upgrade(subscription, plan, order, price)
    return _downgrade(subscription, plan, order, price)


def _keep_plan(subscription: Subscription, price: PlanPrice) -> str:
    if subscription.will_change:
        _set_next_price(subscription, price.id, subscription.quantity, goes_on=True)
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
    _set_next_price(subscription, new_price.id, order.seats, goes_on=True)
    sync_subscription(subscription.id)
    return "will_change"


def _upgrade(subscription: Subscription, plan: Plan, order: PlanOrder, price: PlanPrice) -> str:
    """Charge the difference now; its credits are granted by the invoice once it is paid.

    Only a successful charge takes back a scheduled downgrade or cancellation; if it fails, they
    stay scheduled.
    """
    refuse_after_reversal(subscription)
    new_price = plan_prices.ensure_price(plan, order.cycle)
    prorate_at = _begin_upgrade(subscription, new_price.id)
    gateway = get(StripeGateway)
    if subscription.will_change:
        # Stripe must prorate from the paid price, not from the scheduled one.
        _set_next_price(subscription, price.id, subscription.quantity)
    try:
        state = fetch_subscription(subscription.id)
        gateway.change_subscription(
            state,
            price_id=new_price.id,
            quantity=order.seats,
            prorate_at=max(prorate_at, state.item.period_start),
            goes_on=True,
            key=f"upgrade:{new_price.id}:{order.seats}:{int(prorate_at.timestamp())}",
        )
    except GatewayError as error:
        synced = _restore_scheduled_change(subscription, price)
        if synced is not None and (synced.price_id, synced.quantity) == (new_price.id, order.seats):
            return "upgraded"  # only the response was lost
        if not error.declined:
            raise
        with transaction() as session:
            update_if(session, subscription, upgrade_price_id=None, upgrade_proration_at=None)
        log.info("upgrade declined", subscription=subscription.id, code=error.code)
        raise PaymentDeclined(
            "Your card was declined, so nothing was charged and you keep your current plan. "
            "Change your card under Manage subscription and try again."
        ) from None
    sync_subscription(subscription.id)
    return "upgraded"


def refuse_after_reversal(subscription: Subscription) -> None:
    """Refuse an upgrade if the current period's payment was fully refunded, disputed or lost.

    Stripe would still credit that payment towards the larger price, so the upgrade would cost less
    than the credits it includes.
    """
    query = select(Invoice.id).where(
        Invoice.subscription_id == subscription.id,
        Invoice.created_at >= subscription.period_start - timedelta(hours=1),
        or_(
            Invoice.disputed.is_(True),
            and_(Invoice.paid_minor > 0, Invoice.refunded_minor >= Invoice.paid_minor),
        ),
    )
    with snapshot() as session:
        is_reversed = session.scalar(query.limit(1)) is not None
    if is_reversed:
        raise PlanUnchanged(
            "Your last payment was refunded or disputed, so you can't upgrade yet. "
            f"Try again after {subscription.period_end:%d %B %Y}, or contact us."
        )


def _restore_scheduled_change(subscription: Subscription, price: PlanPrice) -> Subscription | None:
    """Schedule the earlier change again, unless the upgrade succeeded after all.

    Returns the synced subscription, or None if Stripe cannot be reached.
    """
    try:
        if subscription.will_change:
            state = fetch_subscription(subscription.id)
            next_item = (state.item.price_id, state.item.quantity)
            if next_item == (price.id, subscription.quantity):
                _set_next_price(
                    subscription, subscription.next_price_id, subscription.next_quantity
                )
        return sync_subscription(subscription.id)
    except GatewayError as error:
        log.warning("scheduled change not restored", subscription=subscription.id, code=error.code)
        return None


def _begin_upgrade(subscription: Subscription, price_id: str) -> datetime:
    """Store and return the proration date; a retry gets the date of the first attempt."""
    now = clock.now().replace(microsecond=0)
    with transaction() as session:
        is_new = or_(
            Subscription.upgrade_price_id.is_(None),
            Subscription.upgrade_price_id != price_id,
            Subscription.upgrade_proration_at < now - UPGRADE_RETRY,
        )
        columns = {"upgrade_price_id": price_id, "upgrade_proration_at": now}
        if update_if(session, subscription, is_new, **columns):
            return now
        return session.get_one(Subscription, subscription.id).upgrade_proration_at or now


def _set_next_price(
    subscription: Subscription, price_id: str, quantity: int, *, goes_on: bool = False
) -> None:
    """Set what the next invoice charges, without proration."""
    gateway = get(StripeGateway)
    gateway.change_subscription(
        fetch_subscription(subscription.id),
        price_id=price_id,
        quantity=quantity,
        prorate_at=None,
        goes_on=goes_on,
        # It sets a state and moves no money, so every call may be a new request.
        key=f"move:{new_id('req')}",
    )


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
