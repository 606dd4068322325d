"""Automatic top-ups as purchases: paid with a saved card, without a checkout.

``posting`` records an outcome within its transaction and under the purchase's lock, so each one
counts once and is emailed once, whether the job, the webhook, the sweep or the reconciliation finds
it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from creditapp import accounts, emails, ledger
from creditapp.db import snapshot
from creditapp.payments import customers
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases import posting
from creditapp.payments.purchases.kinds import PurchaseKind
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.notifications import PaymentEmails
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState
from creditapp.services import get

COOLDOWN: Final = timedelta(minutes=10)
"""The shortest time between two attempts to charge the same member."""

CARD_REMOVED: Final = "card_removed"
"""Failure and reason to stop where Stripe has no such card or customer any more."""

DECLINES_MAX: Final = 2
"""The top-up stops after this many declined payments in a row."""

log = structlog.get_logger(__name__)


def fetch_payment(purchase: Purchase) -> CheckoutState | None:
    """Return the payment of an automatic purchase as a checkout's state, or None without one.

    Raises ``GatewayError``. A payment without a stored id is found by the purchase's id: the
    process may have died, or the connection failed, between Stripe's answer and the write.
    """
    gateway = get(StripeGateway)
    if purchase.payment_intent_id is not None:
        return gateway.retrieve_payment(purchase.payment_intent_id)
    with snapshot() as session:
        customer_id = customers.find(session, purchase.user_id)
    if customer_id is None:
        return None
    return gateway.find_payment_for(
        purchase.id, customer_id=customer_id, created_after=purchase.created_at
    )


def record_outcome(
    session: Session, purchase: Purchase, failure: str | None, now: datetime
) -> None:
    """Record the end of an automatic purchase, once; ignore one that has not ended.

    ``failure`` is Stripe's code where the card was declined, or ``CARD_REMOVED``.
    """
    if purchase.state in ("open", "pending"):
        return
    row = session.get(AutoTopup, purchase.user_id, populate_existing=True, with_for_update=True)
    if row is None or row.purchase_id != purchase.id:
        return
    row.purchase_id = None
    row.next_look_at = (row.last_try_at or now) + COOLDOWN
    row.version += 1
    if purchase.state == "paid":
        row.declines = 0
    elif purchase.state == "failed":
        row.declines += 1
    reason = _stop_reason(purchase, failure, row.declines)
    if reason is not None and row.on:
        row.stopped_at, row.stopped_reason = now, reason
        log.info("automatic top-up stopped", user=row.user_id, reason=reason)
        if reason != "review":  # the operator who reviews that payment writes to the member
            notify_stopped(session, row, reason, f"topup_stopped:{purchase.id}", now=now)


def notify_stopped(
    session: Session, row: AutoTopup, reason: str, key: str, *, now: datetime
) -> None:
    """Queue the email that it stopped or, for ``limit``, that it waits for the next month."""
    user = accounts.find(session, row.user_id)
    if user is None:
        return
    context = {
        "reason": reason,
        "card": row.card,
        "total_minor": row.price_minor,
        "limit_minor": row.limit_minor,
        "currency": row.currency,
        "path": "/settings#top-up",
    }
    emails.notify(session, "topup_stopped", user, context, key, now=now)


def notify_done(payment_emails: PaymentEmails, purchase: Purchase) -> None:
    """Queue the email about a top-up; it links to the receipt and replaces the receipt's email."""
    session, now = payment_emails.session, payment_emails.now
    connection = session.connection()
    wallet_id = ledger.ensure_wallet(connection, "user", purchase.user_id, now=now)
    row = session.get(AutoTopup, purchase.user_id)
    context = {
        "credits_micro": purchase.credits_micro,
        "card": row.card if row else "Your card",
        "balance_micro": ledger.balance(connection, wallet_id, now=now).available_micro,
    }
    payment_emails.payment("topup_done", context)


def _stop_reason(purchase: Purchase, failure: str | None, declines: int) -> str | None:
    if purchase.state == "review":
        return "review"
    if purchase.state != "failed":
        return None
    if failure == "authentication_required":
        return "authentication"
    if failure == CARD_REMOVED:
        return CARD_REMOVED
    return "declined" if declines >= DECLINES_MAX else None


AUTO_TOPUP = PurchaseKind(
    "auto_topup",
    fetch_state=fetch_payment,
    post_paid=posting.post_credits,
    notify_paid=notify_done,
    on_posted=record_outcome,
)
