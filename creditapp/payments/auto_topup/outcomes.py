"""Outcomes of automatic purchases: stop or continue the top-up, and email the member.

``posting`` calls these within its transaction and under the purchase's lock, so each outcome counts
once and is emailed once, whether the job, the webhook, the sweep or the reconciliation finds it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from creditapp import accounts, emails, ledger
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.db import update_if
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase

COOLDOWN: Final = timedelta(minutes=10)
"""The shortest time between two attempts to charge the same member."""

DECLINES_MAX: Final = 2
"""The top-up stops after this many declined payments in a row."""

log = structlog.get_logger(__name__)


def record_outcome(session: Session, purchase: Purchase, failure: str | None) -> None:
    """Record the end of an automatic purchase, once; ignore one that has not ended.

    ``failure`` is Stripe's code where the card was declined.
    """
    if purchase.state in ("open", "pending"):
        return
    row = session.get(AutoTopup, purchase.user_id)
    if row is None or row.purchase_id != purchase.id:
        return
    reason = _stop_reason(purchase, failure, row.declines + 1)
    values: dict[str, object] = {
        "purchase_id": None,
        "next_look_at": (row.last_try_at or now()) + COOLDOWN,
        "version": AutoTopup.version + 1,
    }
    if purchase.state == "paid":
        values["declines"] = 0
    elif purchase.state == "failed":
        values["declines"] = row.declines + 1
    stops = reason is not None and row.on
    if stops:
        values |= {"stopped_at": now(), "stopped_reason": reason}
    if not update_if(session, row, AutoTopup.purchase_id == purchase.id, **values):
        return
    if stops and reason is not None:
        log.info("automatic top-up stopped", user=row.user_id, reason=reason)
        if reason != "review":  # the operator who reviews that payment writes to the member
            notify_stopped(session, row, reason, f"topup_stopped:{purchase.id}")


def notify_stopped(session: Session, row: AutoTopup, reason: str, key: str) -> None:
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
    emails.notify(session, "topup_stopped", user, context, key, now=now())


def notify_done(session: Session, purchase: Purchase, user: User) -> None:
    """Queue the email about a top-up; it links to the receipt and replaces the receipt's email."""
    connection, moment = session.connection(), now()
    wallet_id = ledger.ensure_wallet(connection, "user", user.id, now=moment)
    row = session.get(AutoTopup, user.id)
    context = {
        "credits_micro": purchase.credits_micro,
        "total_minor": receipts.amounts(purchase).total_minor,
        "card": row.card if row else "Your card",
        "balance_micro": ledger.balance(connection, wallet_id, now=moment).available_micro,
        "number": purchase.id,
        "path": receipts.PATH.format(purchase.id),
        "currency": purchase.currency,
        "sandbox": purchase.sandbox,
    }
    emails.notify(session, "topup_done", user, context, f"topup_done:{purchase.id}", now=moment)


def _stop_reason(purchase: Purchase, failure: str | None, declines: int) -> str | None:
    if purchase.state == "review":
        return "review"
    if purchase.state != "failed":
        return None
    if failure == "authentication_required":
        return "authentication"
    return "declined" if declines >= DECLINES_MAX else None
