"""Tables of plans: prices at Stripe, subscriptions, invoices, refunds and scheduled grants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import BigId, UtcDateTime
from creditapp.payments.stripe.records import LIVE_STATUSES, STRIPE_ID_LENGTH
from creditapp.payments.sweeps import Synced

CYCLES = ("month", "year")
GRANT_STATES = ("due", "granted", "canceled", "superseded")


class PlanPrice(db.Model):
    """A plan's price at Stripe and the credits it includes; every cycle is granted from this row.

    A row never changes. New terms of a plan get a new row, and existing subscribers keep theirs
    until they change plans.
    """

    __tablename__ = "plan_prices"
    __table_args__ = (
        CheckConstraint(f"cycle IN {CYCLES!r}", name="cycle"),
        CheckConstraint("price_minor >= 0 AND credits_micro > 0", name="amounts"),
        UniqueConstraint("digest", "livemode"),
    )

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    """Over the terms below and the Stripe account's mode; not over id and time of creation."""
    plan_id: Mapped[str] = mapped_column(String(64))
    plan_name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(12))
    cycle: Mapped[str] = mapped_column(String(8))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    """Per month and seat."""
    lasting_months: Mapped[int | None] = mapped_column(Integer)
    """How many months a month's credits stay valid; null if they never expire."""
    trial_credits_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    livemode: Mapped[bool] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Subscription(Synced):
    """A user's subscription, as of the last sync with Stripe.

    ``price_id`` and ``quantity`` are paid for now; ``next_price_id`` and ``next_quantity`` are what
    the next invoice will charge.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_next_sync_at", "next_sync_at"),
        Index("ix_subscriptions_user_id", "user_id"),
    )

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    customer_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    price_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    next_price_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    quantity: Mapped[int] = mapped_column(Integer, default=1)
    next_quantity: Mapped[int] = mapped_column(Integer, default=1)
    status: Mapped[str] = mapped_column(String(24))
    period_start: Mapped[datetime] = mapped_column(UtcDateTime)
    period_end: Mapped[datetime] = mapped_column(UtcDateTime)
    cancel_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it ends; null if it goes on."""
    trial_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    past_due_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When Stripe retries the card, if an invoice is unpaid."""
    livemode: Mapped[bool] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    upgrade_price_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    upgrade_proration_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The proration date of a pending upgrade: a retry must not move it."""
    upgrade_key: Mapped[str | None] = mapped_column(String(40))
    """The idempotency key of its request to Stripe."""
    upgrade_credits_micro: Mapped[int | None] = mapped_column(BigInteger)
    """The credits that the confirmed page showed; null if there was none."""

    @property
    def live(self) -> bool:
        """Whether this is the owner's current plan."""
        return self.status in LIVE_STATUSES

    def is_on(self, price_id: str, quantity: int) -> bool:
        """Whether a price and quantity are paid for now."""
        return (self.price_id, self.quantity) == (price_id, quantity)

    @property
    def will_change(self) -> bool:
        """Whether the next invoice charges another price or quantity than is paid for now."""
        return (self.next_price_id, self.next_quantity) != (self.price_id, self.quantity)


NO_UPGRADE: Final[Mapping[str, None]] = dict.fromkeys(
    ("upgrade_price_id", "upgrade_proration_at", "upgrade_key", "upgrade_credits_micro")
)
"""The columns of a subscription without a pending upgrade."""


class Invoice(db.Model):
    """An invoice of a subscription: its payment, refunds and disputes."""

    __tablename__ = "invoices"
    __table_args__ = (Index("ix_invoices_subscription", "subscription_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    number: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    billing_reason: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(16))
    title: Mapped[str] = mapped_column(String(255), default="")
    """Plan and cycle, for receipts and emails."""
    currency: Mapped[str] = mapped_column(String(3))
    subtotal_minor: Mapped[int] = mapped_column(BigInteger)
    total_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    paid_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    disputed: Mapped[bool] = mapped_column(default=False)
    payment_intent_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    credits_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """Credits of all its months together."""
    supersedes_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Months that begin after this are granted by this invoice instead of earlier ones; or null."""
    review_reason: Mapped[str | None] = mapped_column(String(120))
    livemode: Mapped[bool] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its credits were scheduled; null until it is paid."""


REFUND_STATES = ("open", "done", "failed", "by_hand")


class Refund(db.Model):
    """A refund requested in CreditApp, stored before Stripe is called.

    ``by_hand``: the money of an agent's payment that no rail sends, until the operator has sent it.
    """

    __tablename__ = "refunds"
    __table_args__ = (CheckConstraint(f"state IN {REFUND_STATES!r}", name="state"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    target_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    """The id of a purchase, an invoice or an agent's payment request."""
    payment_intent_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    reason: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(8), default="open")
    actor: Mapped[str] = mapped_column(String(120), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    credits_micro: Mapped[int | None] = mapped_column(BigInteger)
    """The unused credits of an agent that it pays back; null for purchases and invoices."""
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the operator noted that the money was sent by hand."""


class ScheduledGrant(db.Model):
    """One month's credits of a paid invoice, granted when due unless they were reversed before.

    ``starts_at`` and ``ends_at`` bound the whole month, even if an upgrade in its middle includes
    only a part of it. A ``superseded`` month is granted by a later invoice, which schedules all of
    it again. A ``canceled`` month, or part of one, came due when nothing was left of it.
    """

    __tablename__ = "scheduled_grants"
    __table_args__ = (
        CheckConstraint(f"state IN {GRANT_STATES!r}", name="state"),
        CheckConstraint("reversed_micro BETWEEN 0 AND credits_micro", name="reversed"),
        UniqueConstraint("invoice_id", "number"),
        Index("ix_scheduled_grants_due", "state", "due_at"),
        Index("ix_scheduled_grants_subscription", "subscription_id", "starts_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    invoice_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    number: Mapped[int] = mapped_column(Integer)
    subscription_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    reversed_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """Not granted, if the month is still due; revoked, if it was granted."""
    prorated_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """The part of ``reversed_micro`` for unused time that a later invoice credited in money."""
    superseded_by: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    """The invoice that grants it instead."""
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(12), default="due")
    grant_id: Mapped[int | None] = mapped_column(BigInteger)
