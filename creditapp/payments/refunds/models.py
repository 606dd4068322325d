"""Refunds that members asked for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH


class RefundRequest(db.Model):
    """One payment's refund that a member asked for, until the operator pays or declines it."""

    __tablename__ = "refund_requests"
    __table_args__ = (
        CheckConstraint("state IN ('requested', 'paid', 'declined')", name="state"),
        CheckConstraint("(state = 'requested') = (open_target_id IS NOT NULL)", name="open"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    target_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    """A purchase id or an invoice id."""
    open_target_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH), unique=True)
    """The same while it is open, then null: a payment has one open request."""
    item: Mapped[str] = mapped_column(String(255))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    """The refund that the member was shown."""
    currency: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(10), default="requested")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
