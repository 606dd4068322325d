"""Purchases: one row for each pack or plan that a buyer set out to buy."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from creditapp.db import UtcDateTime
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH
from creditapp.payments.sweeps import Synced

PURCHASE_STATES = ("open", "pending", "paid", "failed", "expired", "review")
UNFINISHED_STATES = ("open", "pending")
"""States in which a payment may still arrive."""


class Purchase(Synced):
    """One pack or plan that a buyer set out to buy, with its price and credits at that time.

    It is committed before Stripe is called. Credits come from this row, never from the amount that
    was paid.
    """

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint(f"state IN {PURCHASE_STATES!r}", name="state"),
        CheckConstraint("price_minor >= 0 AND credits_micro > 0", name="amounts"),
        UniqueConstraint("user_id", "request_key"),
        Index("ix_purchases_next_sync_at", "next_sync_at"),
        # Every page of a member looks for payments on their way, and nearly none has one.
        Index(
            "ix_purchases_pending",
            "user_id",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    request_key: Mapped[str] = mapped_column(String(128))
    request_digest: Mapped[str] = mapped_column(String(64))

    pack_id: Mapped[str] = mapped_column(String(64))
    pack_name: Mapped[str] = mapped_column(String(255))
    catalog_version: Mapped[str] = mapped_column(String(64))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    stripe_price_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    cycle: Mapped[str | None] = mapped_column(String(8))
    """``month`` or ``year`` for a plan, whose credits its invoices grant; null for a pack."""
    seats: Mapped[int] = mapped_column(Integer, default=1)
    trial_days: Mapped[int] = mapped_column(Integer, default=0)
    subscription_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    livemode: Mapped[bool] = mapped_column()
    sandbox: Mapped[bool] = mapped_column(default=False)
    """Whether its payments go to the payment sandbox that comes with the app."""
    automatic: Mapped[bool] = mapped_column(default=False)
    """Whether the automatic top-up bought it: a payment with a saved card, without a checkout."""

    state: Mapped[str] = mapped_column(String(12), default="open")
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    """The number of the attempt to open its checkout; it grows when one fails."""
    checkout_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    checkout_url: Mapped[str | None] = mapped_column(String(2048))
    payment_intent_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    return_to: Mapped[str] = mapped_column(String(512), default="/credits")
    grant_id: Mapped[int | None] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    total_minor: Mapped[int | None] = mapped_column(BigInteger)
    """The total paid, as Stripe reports it; null until then, like the two below."""
    discount_minor: Mapped[int | None] = mapped_column(BigInteger)
    tax_minor: Mapped[int | None] = mapped_column(BigInteger)
    review_reason: Mapped[str | None] = mapped_column(String(120))

    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    replayed = False
    """Whether this request found the purchase rather than created it; not stored."""

    @property
    def kind(self) -> str:
        """The name of its kind: ``purchases.kinds`` lists how they differ."""
        if self.cycle is not None:
            return "plan"
        return "auto_topup" if self.automatic else "pack"

    @property
    def ended(self) -> bool:
        """Whether it can no longer be paid at its checkout."""
        return self.state != "open"
