"""Telling people that the card that pays their plan ends before the next payment."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import select

from creditapp import accounts, emails
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import LIVE_STATUSES, GatewayError, SavedCard
from creditapp.payments.subscriptions.models import PlanPrice, Subscription
from creditapp.services import get

BEFORE_MIN, BEFORE_MAX = timedelta(days=7), timedelta(days=9)
"""When the card is looked at, before the next payment: two days, should one run be missed."""
LOOKS_MAX = 1000

log = structlog.get_logger(__name__)


def warn() -> None:
    """Look at the cards of plans that are paid in a week, and tell once of each that ends before.

    The daily job. No transaction is open while Stripe is asked; one that cannot be asked about does
    not keep the others waiting.
    """
    moment = now()
    query = (
        select(Subscription, PlanPrice)
        .join(PlanPrice, PlanPrice.id == Subscription.next_price_id)
        .where(
            Subscription.status.in_(LIVE_STATUSES),
            Subscription.cancel_at_period_end.is_(False),
            Subscription.period_end > moment + BEFORE_MIN,
            Subscription.period_end <= moment + BEFORE_MAX,
        )
        .order_by(Subscription.period_end)
        .limit(LOOKS_MAX)
    )
    with snapshot() as session:
        due = [(row, price) for row, price in session.execute(query)]
    for row, price in due:
        try:
            cards = get(StripeGateway).list_cards(row.customer_id)
        except GatewayError as error:
            log.warning("cards not looked at", subscription=row.id, error_code=error.code)
            continue
        if cards and ends_before(cards[0], row):
            _tell(row, price, cards[0])


def ends_before(card: SavedCard, row: Subscription) -> bool:
    """Return whether a card, good until the end of its month, cannot pay the next period."""
    return (card.exp_year, card.exp_month) < (row.period_end.year, row.period_end.month)


def _tell(row: Subscription, price: PlanPrice, card: SavedCard) -> None:
    with transaction() as session:
        user = accounts.find(session, row.user_id)
        if user is None:
            return
        context = {
            "card": f"{card.brand.capitalize()} ending in {card.last4}",
            "month": f"{_MONTHS[card.exp_month - 1]} {card.exp_year}",
            "plan": price.plan_name,
            "amount_minor": price.price_minor * row.quantity,
            "currency": price.currency.upper(),
            "next_at": row.period_end,
            "path": "/dashboard",
        }
        key = f"card_expiring:{row.id}:{card.id}:{row.period_end:%Y%m%d}"
        emails.notify(session, "card_expiring", user, context, key, now=now())


_MONTHS = (
    "January February March April May June July August September October November December"
).split()
