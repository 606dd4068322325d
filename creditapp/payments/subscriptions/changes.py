"""Changing somebody's plan: at once when it is worth more, else at the period's end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, select, update

from creditapp.catalog.products import Plan
from creditapp.clock import now
from creditapp.db import changed, snapshot, transaction
from creditapp.errors import Conflict
from creditapp.ids import new_id
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import proration, scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import Invoice, PlanPrice, Subscription
from creditapp.services import get

UPGRADE_RETRY = timedelta(hours=1)
"""Within this time a second try at the same upgrade is the first one again."""

log = structlog.get_logger(__name__)


class PlanUnchanged(Conflict):
    """The plan that was asked for cannot be had this way now; the sentence says what can."""

    title = "The plan stays as it is"


class PaymentDeclined(Conflict):
    """The card was not charged, so the plan did not change."""

    title = "The payment was declined"


@dataclass(frozen=True)
class PlanOrder:
    """Which plan, paid by ``month`` or ``year``, for how many, and the digest of what was shown."""

    plan_id: str
    cycle: str = "month"
    seats: int = 1
    catalog_shown: str = ""
    return_to: str = "/dashboard"

    def digest(self) -> str:
        """Return the digest of what is being bought."""
        text = f"plan\n{self.plan_id}\n{self.cycle}\n{self.seats}\n{self.catalog_shown}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class PlanChange:
    """What came of choosing a plan.

    ``outcome`` is ``checkout`` (go to the purchase's page), ``upgraded``, ``will_change``,
    ``will_end``, ``resumed`` or ``kept``.
    """

    outcome: str
    purchase: Purchase | None = None
    subscription: Subscription | None = None


def change(live: Subscription, plan: Plan, order: PlanOrder) -> PlanChange:
    """Bring a live subscription to the plan that was chosen; see ``plans.choose``."""
    if plan.free:
        return PlanChange("will_end", subscription=set_end(live, cancel=True))
    current = plan_prices.known({live.price_id}).get(live.price_id)
    if current is None:
        raise PlanUnchanged("Your plan was made elsewhere. Change it under Manage subscription.")
    if (current.plan_id, current.cycle, live.quantity) == (plan.id, order.cycle, order.seats):
        return _stay(live, current)
    if live.status == "past_due":
        raise PlanUnchanged("Your last payment failed. Change your card first, then your plan.")
    if live.status == "trialing" or not is_upgrade(
        plan, order.cycle, order.seats, current, live.quantity
    ):
        return _downgrade(live, plan, order, current)
    return _upgrade(live, plan, order, current)


def _stay(live: Subscription, current: PlanPrice) -> PlanChange:
    if live.will_change:
        _move(live, current.id, live.quantity, goes_on=True)
        return PlanChange("kept", subscription=subscription_sync.sync(live.id))
    if live.cancel_at_period_end:
        return PlanChange("resumed", subscription=set_end(live, cancel=False))
    raise PlanUnchanged("You are on this plan already.")


def _downgrade(live: Subscription, plan: Plan, order: PlanOrder, current: PlanPrice) -> PlanChange:
    """Change what the next invoice charges; what is paid for stays until then."""
    if order.cycle != current.cycle and live.status != "trialing":
        raise PlanUnchanged(
            f"Your {current.cycle} is paid until {live.period_end:%d %B %Y}. Let it end then, and "
            f"choose the {order.cycle} afterwards."
        )
    wanted = plan_prices.ensure(plan, order.cycle)
    # Who chooses a plan wants one: a cancellation before it is taken back.
    _move(live, wanted.id, order.seats, goes_on=True)
    return PlanChange("will_change", subscription=subscription_sync.sync(live.id))


def _upgrade(live: Subscription, plan: Plan, order: PlanOrder, current: PlanPrice) -> PlanChange:
    """Charge the difference now; the credits for it come with the invoice that is paid.

    Only the charge takes back what was to come, a downgrade or the end: where it fails, that is
    still to come.
    """
    _refuse_on_money_that_went_back(live)
    wanted = plan_prices.ensure(plan, order.cycle)
    since = _begin_upgrade(live, wanted.id)
    gateway = get(StripeGateway)
    if live.will_change:
        # The difference is to be counted from what is paid for.
        _move(live, current.id, live.quantity)
    try:
        state = gateway.retrieve_subscription(live.id)
        gateway.change_subscription(
            state,
            price_id=wanted.id,
            quantity=order.seats,
            prorate_at=max(since, state.period_start),
            goes_on=True,
            key=f"upgrade:{wanted.id}:{order.seats}:{int(since.timestamp())}",
        )
    except GatewayError as error:
        found = _put_back(live, current)
        if found is not None and (found.price_id, found.quantity) == (wanted.id, order.seats):
            return PlanChange("upgraded", subscription=found)  # only the answer was lost
        if not error.declined:
            raise
        _end_upgrade(live)
        log.info("upgrade refused", subscription=live.id, code=error.code)
        raise PaymentDeclined(
            "Your card was declined, so nothing was charged and your plan is as it was. "
            "Change your card under Manage subscription and try again."
        ) from None
    return PlanChange("upgraded", subscription=subscription_sync.sync(live.id))


def _refuse_on_money_that_went_back(live: Subscription) -> None:
    """Refuse an upgrade of a period whose payment was refunded whole, or is contested or lost.

    Stripe counts that payment against the larger price all the same, so the upgrade would cost less
    than it gives.
    """
    query = select(Invoice.id).where(
        Invoice.subscription_id == live.id,
        Invoice.created_at >= live.period_start - timedelta(hours=1),
        or_(
            Invoice.disputed.is_(True),
            and_(Invoice.paid_minor > 0, Invoice.refunded_minor >= Invoice.paid_minor),
        ),
    )
    with snapshot() as session:
        went_back = session.scalar(query.limit(1)) is not None
    if went_back:
        raise PlanUnchanged(
            "The payment of your plan went back or is contested, so a larger plan cannot build on "
            f"it. Choose again after {live.period_end:%d %B %Y}, or write to us."
        )


def _put_back(live: Subscription, current: PlanPrice) -> Subscription | None:
    """Let what was to come be to come again, unless the upgrade went through after all.

    Returns how the subscription stands, or None where Stripe does not say.
    """
    try:
        if live.will_change:
            state = get(StripeGateway).retrieve_subscription(live.id)
            if (state.price_id, state.quantity) == (current.id, live.quantity):
                _move(live, live.next_price_id, live.next_quantity)
        return subscription_sync.sync(live.id)
    except GatewayError as error:
        log.warning("planned change not put back", subscription=live.id, code=error.code)
        return None


def _begin_upgrade(live: Subscription, price_id: str) -> datetime:
    """Note since when the difference is counted; a second try finds the first one's moment."""
    moment = now().replace(microsecond=0)
    with transaction() as session:
        begun = session.execute(
            update(Subscription)
            .where(
                Subscription.id == live.id,
                or_(
                    Subscription.upgrade_price_id.is_(None),
                    Subscription.upgrade_price_id != price_id,
                    Subscription.upgrade_at < moment - UPGRADE_RETRY,
                ),
            )
            .values(upgrade_price_id=price_id, upgrade_at=moment)
            .execution_options(synchronize_session=False)
        )
        if changed(begun) == 1:
            return moment
        since = session.scalar(select(Subscription.upgrade_at).where(Subscription.id == live.id))
    return since or moment


def _end_upgrade(live: Subscription) -> None:
    with transaction() as session:
        session.execute(
            update(Subscription)
            .where(Subscription.id == live.id)
            .values(upgrade_price_id=None, upgrade_at=None)
        )


def _move(live: Subscription, price_id: str, quantity: int, *, goes_on: bool = False) -> None:
    gateway = get(StripeGateway)
    gateway.change_subscription(
        gateway.retrieve_subscription(live.id),
        price_id=price_id,
        quantity=quantity,
        prorate_at=None,
        goes_on=goes_on,
        # It sets a state and moves no money, so each time may be a request of its own.
        key=f"move:{new_id('req')}",
    )


@dataclass(frozen=True)
class Preview:
    """What an upgrade would charge and give now, before anything is done."""

    plan_name: str
    cycle: str
    charged_minor: int
    currency: str
    credits_micro: int
    renews_minor: int
    renews_at: datetime
    current_name: str


def preview(live: Subscription, plan: Plan, order: PlanOrder) -> Preview | None:
    """Ask Stripe what an upgrade costs now; None where the change is no upgrade.

    Raises ``PlanUnchanged`` where it would be refused, and ``GatewayError``. The seconds until the
    button is pressed change the last cents.
    """
    current = plan_prices.known({live.price_id}).get(live.price_id)
    if current is None or live.status != "active":
        return None
    if not is_upgrade(plan, order.cycle, order.seats, current, live.quantity):
        return None
    _refuse_on_money_that_went_back(live)
    wanted = plan_prices.ensure(plan, order.cycle)
    gateway = get(StripeGateway)
    state = gateway.retrieve_subscription(live.id)
    invoice = gateway.preview_change(
        state,
        price_id=wanted.id,
        quantity=order.seats,
        prorate_at=max(now().replace(microsecond=0), state.period_start),
    )
    with snapshot() as session:
        earlier = scheduled_grants.bounds(session, live.id)
    given = proration.plan_of(invoice, {current.id: current, wanted.id: wanted}, earlier)
    renews_at = state.period_end
    if order.cycle != current.cycle:
        renews_at = max(line.ends_at for line in invoice.lines)
    return Preview(
        plan_name=plan.name,
        cycle=order.cycle,
        charged_minor=max(0, invoice.total_minor),
        currency=plan.currency,
        credits_micro=given.months[0].credits_micro if given.months else 0,
        renews_minor=wanted.price_minor * order.seats,
        renews_at=renews_at,
        current_name=current.plan_name,
    )


def is_upgrade(plan: Plan, cycle: str, seats: int, current: PlanPrice, quantity: int) -> bool:
    """Return whether a choice is worth more than what is paid for now, and is charged at once."""
    paid = current.price_minor * quantity
    if cycle == current.cycle:
        return plan.price(cycle).price_minor * seats > paid
    # From month to year with the same plan or a better one; a paid year is not taken apart.
    return cycle == "year" and plan.month.price_minor * seats >= paid


def set_end(live: Subscription, *, cancel: bool) -> Subscription:
    """Let a subscription end with what is paid, or go on; doing it twice does it once."""
    if live.cancel_at_period_end != cancel:
        get(StripeGateway).cancel_at_period_end(live.id, cancel=cancel)
    return subscription_sync.sync(live.id)
