"""Automatic top-ups: what a member agreed to, and how it stands."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp.db import Base, UtcDateTime
from creditapp.payments.stripe.records import STRIPE_ID_LENGTH


class AutoTopup(Base):
    """One member's consent to be charged without being asked each time, and its limits.

    It names the pack as it was agreed to: at another price it buys nothing. ``purchase_id`` is the
    one purchase under way; it is set and cleared by compare-and-set, so there are never two.
    """

    __tablename__ = "auto_topups"
    __table_args__ = (
        CheckConstraint("threshold_micro > 0 AND limit_minor >= price_minor", name="limits"),
        Index("ix_auto_topups_next_look_at", "next_look_at"),
    )

    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    livemode: Mapped[bool] = mapped_column()
    pack_id: Mapped[str] = mapped_column(String(64))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    threshold_micro: Mapped[int] = mapped_column(BigInteger)
    limit_minor: Mapped[int] = mapped_column(BigInteger)
    """The most that is charged within a calendar month in UTC."""
    counts_manual: Mapped[bool] = mapped_column()
    """Whether packs that the member buys by hand count against the limit."""
    consented_at: Mapped[datetime] = mapped_column(UtcDateTime)
    consent_version: Mapped[str] = mapped_column(String(16))
    """Which words the member agreed to."""

    on_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when there is a card for it; null until the first one is saved."""
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_reason: Mapped[str | None] = mapped_column(String(24))
    """``member``, ``declined``, ``authentication``, ``pack`` (it costs something else now) or
    ``review`` (a payment that a person must look at)."""
    setup_checkout_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    """The checkout that is to save a card; switching on is complete when it is."""
    card_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    card_brand: Mapped[str | None] = mapped_column(String(40))
    card_last4: Mapped[str | None] = mapped_column(String(4))

    purchase_id: Mapped[str | None] = mapped_column(String(40))
    declines: Mapped[int] = mapped_column(Integer, default=0)
    """How many payments in a row the card refused."""
    last_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_look_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """Before this moment the sweep leaves it alone."""
    version: Mapped[int] = mapped_column(Integer, default=1)

    @property
    def on(self) -> bool:
        """Whether a low balance is filled up."""
        return self.on_at is not None and self.stopped_at is None

    @property
    def card(self) -> str:
        """The card in words."""
        return f"{(self.card_brand or 'card').capitalize()} ending in {self.card_last4 or '????'}"
