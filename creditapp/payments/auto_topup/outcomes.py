"""What the end of an automatic purchase means to the consent behind it, and what its owner is told.

Called by ``posting`` within its transaction and under the purchase's lock, so that each end counts
once and is told once, whoever heard of it first: the job, the webhook, the sweep, the comparison.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp import accounts, emails, ledger
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.db import changed
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase

COOLDOWN: Final = timedelta(minutes=10)
"""The least time between two tries to charge the same member."""

DECLINES_MAX: Final = 2
"""After so many refusals of the card in a row it stops by itself."""

log = structlog.get_logger(__name__)


def note(session: Session, purchase: Purchase, failure: str | None) -> None:
    """Note that an automatic purchase has ended; one that has not, or that was noted, is left.

    ``failure`` is Stripe's code where the card refused.
    """
    if purchase.state in ("open", "pending"):
        return
    row = session.get(AutoTopup, purchase.user_id)
    if row is None or row.purchase_id != purchase.id:
        return
    reason = _why_to_stop(purchase, failure, row.declines + 1)
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
    if not _released(session, row, purchase.id, values):
        return
    if stops and reason is not None:
        log.info("automatic top-up stopped", user=row.user_id, reason=reason)
        if reason != "review":  # a person looks at that payment, and is the one to write
            tell_stopped(session, row, reason, f"topup_stopped:{purchase.id}")


def tell_stopped(session: Session, row: AutoTopup, reason: str, key: str) -> None:
    """Queue the mail that it stopped, or (``limit``) that it waits for the next month."""
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


def tell_done(session: Session, purchase: Purchase, user: User) -> None:
    """Queue the mail that a balance was filled up; it leads to the receipt and stands for it."""
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


def _why_to_stop(purchase: Purchase, failure: str | None, declines: int) -> str | None:
    if purchase.state == "review":
        return "review"
    if purchase.state != "failed":
        return None
    if failure == "authentication_required":
        return "authentication"
    return "declined" if declines >= DECLINES_MAX else None


def _released(
    session: Session, row: AutoTopup, purchase_id: str, values: dict[str, object]
) -> bool:
    released = session.execute(
        update(AutoTopup)
        .where(AutoTopup.user_id == row.user_id, AutoTopup.purchase_id == purchase_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return changed(released) == 1
