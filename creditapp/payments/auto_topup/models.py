"""Automatic top-ups: each member's consent, its limits and its state."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH


class AutoTopup(db.Model):
    """One member's consent to be charged without confirming each time, and its limits.

    It stores the pack as agreed: at another price it buys nothing. ``purchase_id`` is the one
    unfinished purchase; it is set and cleared under the row's lock, so there are never two.
    """

    __tablename__ = "auto_topups"
    __table_args__ = (
        CheckConstraint("threshold_micro > 0 AND limit_minor >= price_minor", name="limits"),
        Index("ix_auto_topups_next_look_at", "next_look_at"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    livemode: Mapped[bool] = mapped_column()
    pack_id: Mapped[str] = mapped_column(String(64))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    threshold_micro: Mapped[int] = mapped_column(BigInteger)
    limit_minor: Mapped[int] = mapped_column(BigInteger)
    """The most that may be charged in a calendar month in UTC."""
    counts_manual: Mapped[bool] = mapped_column()
    """Whether packs that the member buys manually count against the limit."""
    consented_at: Mapped[datetime] = mapped_column(UtcDateTime)
    consent_version: Mapped[str] = mapped_column(String(16))
    """The version of the terms that the member agreed to."""

    on_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it first had a card; null until one is saved."""
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_reason: Mapped[str | None] = mapped_column(String(24))
    """``member``, ``declined``, ``authentication``, ``card_removed``, ``pack`` (its price changed)
    or ``review`` (an operator must look at a payment)."""
    setup_checkout_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    """The checkout that saves a card; the top-up starts when it completes."""
    card_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    card_brand: Mapped[str | None] = mapped_column(String(40))
    card_last4: Mapped[str | None] = mapped_column(String(4))

    purchase_id: Mapped[str | None] = mapped_column(String(40))
    declines: Mapped[int] = mapped_column(Integer, default=0)
    """How many payments in a row were declined."""
    last_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_look_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The sweep ignores it before this moment."""
    version: Mapped[int] = mapped_column(Integer, default=1)

    @property
    def on(self) -> bool:
        """Whether a low balance is topped up."""
        return self.on_at is not None and self.stopped_at is None

    @property
    def card(self) -> str:
        """The card's brand and last digits, as text."""
        return f"{(self.card_brand or 'card').capitalize()} ending in {self.card_last4 or '????'}"
