"""Emails about cards that expire before the next payment of a plan.

A service: it calls Stripe with no transaction open and queues each email in its own transaction.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, select

from creditapp import accounts, clock, emails
from creditapp.db import snapshot, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import LIVE_STATUSES, GatewayError, SavedCard
from creditapp.payments.subscriptions.models import PlanPrice, Subscription
from creditapp.services import get

BEFORE_MIN, BEFORE_MAX = timedelta(days=7), timedelta(days=9)
"""How long before the next payment a card is checked: two days, in case one run is missed."""
SUBSCRIPTIONS_MAX = 1000

log = structlog.get_logger(__name__)


def email_expiring_cards() -> None:
    """Email owners of plans due in a week whose card expires before, once per payment.

    The daily job. A card that cannot be read does not delay the others.
    """
    now = clock.now()
    query = (
        select(Subscription, PlanPrice)
        .join(PlanPrice, PlanPrice.id == Subscription.next_price_id)
        .where(
            Subscription.status.in_(LIVE_STATUSES),
            or_(Subscription.cancel_at.is_(None), Subscription.cancel_at > Subscription.period_end),
            Subscription.period_end > now + BEFORE_MIN,
            Subscription.period_end <= now + BEFORE_MAX,
        )
        .order_by(Subscription.period_end)
        .limit(SUBSCRIPTIONS_MAX)
    )
    with snapshot() as session:
        due = session.execute(query).all()
    for subscription, price in due:
        try:
            cards = get(StripeGateway).list_cards(subscription.customer_id)
        except GatewayError as error:
            log.warning("cards not read", subscription=subscription.id, error_code=error.code)
            continue
        if cards and expires_before_renewal(cards[0], subscription):
            _queue_email(subscription, price, cards[0], now=now)


def expires_before_renewal(card: SavedCard, subscription: Subscription) -> bool:
    """Return whether a card, valid until the end of its month, cannot pay the next period."""
    renewal = subscription.period_end
    return (card.exp_year, card.exp_month) < (renewal.year, renewal.month)


def _queue_email(
    subscription: Subscription, price: PlanPrice, card: SavedCard, *, now: datetime
) -> None:
    with transaction() as session:
        user = accounts.find(session, subscription.user_id)
        if user is None:
            return
        context = {
            "card": f"{card.brand.capitalize()} ending in {card.last4}",
            "month": f"{calendar.month_name[card.exp_month]} {card.exp_year}",
            "plan": price.plan_name,
            "amount_minor": price.price_minor * subscription.quantity,
            "currency": price.currency.upper(),
            "next_at": subscription.period_end,
            "path": "/dashboard",
        }
        key = f"card_expiring:{subscription.id}:{card.id}:{subscription.period_end:%Y%m%d}"
        emails.notify(session, "card_expiring", user, context, key, now=now)
