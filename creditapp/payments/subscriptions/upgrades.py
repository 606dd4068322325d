"""Upgrades: quoted on a page, confirmed, and charged at once.

A service: it calls Stripe with no transaction open, commits its own short transactions, and posts
no credits; ``sync_subscription`` does that afterwards. What a confirmed page showed is kept with
the change: at the proration date of its quote Stripe charges the same amount, and the invoice
grants the same credits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, select

from creditapp import clock
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import Conflict
from creditapp.ids import new_id
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError, SubscriptionState
from creditapp.payments.subscriptions import posting as plan_posting
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import proration
from creditapp.payments.subscriptions.models import NO_UPGRADE, Invoice, PlanPrice, Subscription
from creditapp.payments.subscriptions.sync import fetch_subscription, sync_subscription
from creditapp.services import get

QUOTE_VALID = timedelta(hours=1)
"""How long a page's quote can be confirmed."""

UPGRADE_RETRY = QUOTE_VALID + timedelta(hours=1)
"""A second request for the same upgrade, so long after its proration date, is a retry."""

log = structlog.get_logger(__name__)


class PlanUnchanged(Conflict):
    """The chosen plan is not available this way now; the detail says what is."""

    title = "The plan stays as it is"


class PaymentDeclined(Conflict):
    """The card was not charged, so the plan did not change."""

    title = "The payment was declined"


class QuoteChanged(Conflict):
    """An upgrade would now charge more or grant fewer credits than the confirmed page showed."""

    title = "The price has changed"

    def __init__(self) -> None:
        super().__init__(
            "What this upgrade charges has changed since you opened the page. Nothing was charged. "
            "Look at the price again."
        )


@dataclass(frozen=True)
class UpgradeQuote:
    """Charge and credits of an upgrade that is prorated from one moment."""

    prorate_at: datetime
    charged_minor: int
    credits_micro: int

    def keeps(self, confirmed: UpgradeQuote) -> bool:
        """Whether nobody who confirmed the other quote pays more or gets less."""
        return (
            self.charged_minor <= confirmed.charged_minor
            and self.credits_micro >= confirmed.credits_micro
        )


def quote_upgrade(
    subscription: Subscription, new_price: PlanPrice, seats: int
) -> tuple[UpgradeQuote, datetime] | None:
    """Return what an upgrade made now would charge and grant, and when it renews.

    Returns None if Stripe has made the upgrade already.
    """
    now = clock.now()
    prorate_at = _prorate_from(subscription, now)
    begun_at = subscription.upgrade_proration_at
    is_retry = begun_at is not None and begun_at >= now - UPGRADE_RETRY
    if begun_at is not None and is_retry and subscription.upgrade_price_id == new_price.id:
        prorate_at = begun_at
    state = fetch_subscription(subscription.id)
    if _is_made(state, new_price, seats):
        sync_subscription(subscription.id)
        return None
    return _quote(state, new_price, seats, prorate_at)


def upgrade(
    subscription: Subscription,
    price: PlanPrice,
    new_price: PlanPrice,
    seats: int,
    *,
    confirmed: UpgradeQuote | None,
) -> Subscription:
    """Charge the difference now; its credits are granted by the invoice once it is paid.

    Returns the subscription as it is after that.

    ``confirmed`` is what the buyer's page showed: never is more charged, nor are fewer credits
    granted. Only a successful charge takes back a scheduled downgrade or cancellation; if it fails,
    they stay scheduled. Raises ``PlanUnchanged``, ``QuoteChanged``, ``PaymentDeclined`` and
    ``GatewayError``.
    """
    refuse_after_reversal(subscription)
    pending = _begin(subscription, new_price.id, confirmed)
    if confirmed is not None:
        _keep_quote(subscription, pending, new_price, seats, confirmed)
    if subscription.will_change:
        # Stripe must prorate from the paid price, not from the scheduled one.
        set_next_price(subscription, price.id, subscription.quantity)
    try:
        state = fetch_subscription(subscription.id)
        get(StripeGateway).change_subscription(
            state,
            price_id=new_price.id,
            quantity=seats,
            prorate_at=max(pending.prorate_at, state.item.period_start),
            goes_on=True,
            key=f"upgrade:{pending.key}:{seats}",
        )
    except GatewayError as error:
        synced = _restore_scheduled_change(subscription, price)
        if synced is not None and synced.is_on(new_price.id, seats):
            return synced  # only the response was lost
        if not error.declined:
            raise
        _forget(subscription)
        log.info("upgrade declined", subscription=subscription.id, code=error.code)
        raise PaymentDeclined(
            "Your card was declined, so nothing was charged and you keep your current plan. "
            "Change your card under Manage subscription and try again."
        ) from None
    return sync_subscription(subscription.id)


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


def set_next_price(
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


@dataclass(frozen=True)
class _Pending:
    """A stored upgrade: a retry has the same proration date and Stripe's idempotency key."""

    prorate_at: datetime
    key: str
    is_new: bool


def _begin(subscription: Subscription, price_id: str, confirmed: UpgradeQuote | None) -> _Pending:
    """Store the upgrade and return it; a retry gets what the first attempt stored."""
    now = clock.now()
    prorate_at = _prorate_from(subscription, now)
    if confirmed is not None:
        if not now - QUOTE_VALID <= confirmed.prorate_at <= prorate_at:
            raise QuoteChanged()
        prorate_at = confirmed.prorate_at
    key = new_id("upg")
    with transaction() as session:
        columns = {
            "upgrade_price_id": price_id,
            "upgrade_proration_at": prorate_at,
            "upgrade_key": key,
            "upgrade_credits_micro": None,
        }
        is_new = or_(
            Subscription.upgrade_price_id.is_(None),
            Subscription.upgrade_price_id != price_id,
            Subscription.upgrade_proration_at < now - UPGRADE_RETRY,
        )
        if update_if(session, subscription, is_new, **columns):
            return _Pending(prorate_at, key, is_new=True)
        stored = session.get_one(Subscription, subscription.id)
        return _Pending(
            stored.upgrade_proration_at or prorate_at, stored.upgrade_key or key, is_new=False
        )


def _keep_quote(
    subscription: Subscription,
    pending: _Pending,
    new_price: PlanPrice,
    seats: int,
    confirmed: UpgradeQuote,
) -> None:
    """Store the confirmed credits with the change; refuse it where they cannot be kept."""
    state = fetch_subscription(subscription.id)
    if _is_made(state, new_price, seats):
        return  # only the response was lost
    quote, _ = _quote(state, new_price, seats, pending.prorate_at)
    if not quote.keeps(confirmed):
        if pending.is_new:
            _forget(subscription)
        raise QuoteChanged()
    with transaction() as session:
        is_same = Subscription.upgrade_key == pending.key
        update_if(session, subscription, is_same, upgrade_credits_micro=quote.credits_micro)


def _forget(subscription: Subscription) -> None:
    with transaction() as session:
        update_if(session, subscription, **NO_UPGRADE)


def _quote(
    state: SubscriptionState, new_price: PlanPrice, seats: int, prorate_at: datetime
) -> tuple[UpgradeQuote, datetime]:
    """Return the quote of an upgrade, and when the plan renews after it."""
    gateway = get(StripeGateway)
    invoice = gateway.preview_change(
        state,
        price_id=new_price.id,
        quantity=seats,
        prorate_at=max(prorate_at, state.item.period_start),
    )
    invoices = gateway.list_invoices(state.id)
    price_ids = {line.price_id for one in (*invoices, invoice) for line in one.lines}
    prices = plan_prices.find_prices(price_ids)
    with snapshot() as session:
        history = plan_posting.history_of(session, state, invoices, prices)
    schedule = proration.credit_schedule(invoice, prices, history)
    quote = UpgradeQuote(
        prorate_at, charged_minor=invoice.due_minor, credits_micro=schedule.first_micro
    )
    renews_at = max((line.ends_at for line in invoice.lines), default=state.item.period_end)
    return quote, renews_at


def _is_made(state: SubscriptionState, new_price: PlanPrice, seats: int) -> bool:
    return (state.item.price_id, state.item.quantity) == (new_price.id, seats)


def _prorate_from(subscription: Subscription, now: datetime) -> datetime:
    return max(now.replace(microsecond=0), subscription.period_start)


def _restore_scheduled_change(subscription: Subscription, price: PlanPrice) -> Subscription | None:
    """Schedule the earlier change again, unless the upgrade succeeded after all.

    Returns the synced subscription, or None if Stripe cannot be reached.
    """
    try:
        if subscription.will_change:
            item = fetch_subscription(subscription.id).item
            if (item.price_id, item.quantity) == (price.id, subscription.quantity):
                set_next_price(subscription, subscription.next_price_id, subscription.next_quantity)
        return sync_subscription(subscription.id)
    except GatewayError as error:
        log.warning("scheduled change not restored", subscription=subscription.id, code=error.code)
        return None
