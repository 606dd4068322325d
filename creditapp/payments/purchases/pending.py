"""Payments on their way: completed checkouts whose money has not arrived yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from creditapp.payments.purchases.models import Purchase

SHOWN_MAX = 3

# Built once: every page of a member runs it, and building took as long as the rest of a balance.
_PENDING = (
    select(
        *(Purchase.id, Purchase.pack_name, Purchase.price_minor, Purchase.currency),
        Purchase.credits_micro,
    )
    .where(Purchase.user_id == bindparam("user_id"), Purchase.state == "pending")
    .order_by(Purchase.id.desc())
    .limit(SHOWN_MAX)
)


@dataclass(frozen=True)
class PendingPayment:
    """A payment that a bank has not confirmed yet, and the credits that it pays for."""

    id: str
    name: str
    price_minor: int
    currency: str
    credits_micro: int


def list_pending(session: Session, user_id: str) -> Sequence[PendingPayment]:
    """Return a member's newest payments on their way, in one query on an index of its own."""
    rows = session.connection().execute(_PENDING, {"user_id": user_id})
    return [PendingPayment(*row) for row in rows]
