"""Webhooks about a purchase that was paid or refunded, queued in the transaction of the posting."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import webhooks_out
from creditapp.payments.purchases.models import Purchase
from creditapp.units import credits_number


def queue_paid(session: Session, purchase: Purchase, *, now: datetime) -> None:
    """Tell the buyer's servers that a purchase was paid."""
    key = f"purchase.paid:{purchase.id}"
    webhooks_out.queue(session, purchase.user_id, "purchase.paid", _data(purchase), key, now=now)


def queue_refunded(session: Session, purchase: Purchase, *, now: datetime) -> None:
    """Tell them that what is refunded of it has changed; less than before if a refund failed."""
    event, key = "purchase.refunded", f"purchase.refunded:{purchase.id}:{purchase.version}"
    webhooks_out.queue(session, purchase.user_id, event, _data(purchase), key, now=now)


def _data(purchase: Purchase) -> dict[str, object]:
    return {
        "id": purchase.id,
        "packId": purchase.pack_id,
        "packName": purchase.pack_name,
        "credits": credits_number(purchase.credits_micro),
        "totalMinor": purchase.total_minor,
        "refundedMinor": purchase.refunded_minor,
        "currency": purchase.currency.upper(),
        "automatic": purchase.automatic,
        "livemode": purchase.livemode,
        "createdAt": purchase.created_at,
        "paidAt": purchase.paid_at,
    }
