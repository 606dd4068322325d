"""The tables of plans: who pays at Stripe, what plans cost there, who is on one, what it gave."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from creditapp.db import Base, BigId, UtcDateTime
from creditapp.payments.stripe.records import LIVE_STATUSES, STRIPE_ID_LENGTH

CYCLES = ("month", "year")
GRANT_STATES = ("due", "granted", "canceled", "superseded")


class PlanPrice(Base):
    """A plan's price at Stripe, with what it gives: the record from which cycles are granted.

    It never changes. A plan that costs or gives something else has another row, and those who
    subscribed before keep theirs until they change.
    """

    __tablename__ = "plan_prices"
    __table_args__ = (
        CheckConstraint(f"cycle IN {CYCLES!r}", name="cycle"),
        CheckConstraint("price_minor >= 0 AND credits_micro > 0", name="amounts"),
        UniqueConstraint("digest", "livemode"),
    )

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    """Over everything below but where and when it was made."""
    plan_id: Mapped[str] = mapped_column(String(64))
    plan_name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(12))
    cycle: Mapped[str] = mapped_column(String(8))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    """For each month and each seat."""
    lasting_months: Mapped[int | None] = mapped_column(Integer)
    """How long a month's credits can be spent; null is for ever."""
    trial_credits_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    livemode: Mapped[bool] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Subscription(Base):
    """Somebody's plan, as Stripe said it last.

    ``price_id`` and ``quantity`` are what is paid for now, ``next_price_id`` and ``next_quantity``
    what the next invoice will charge. ``version`` moves with every change, so that two syncs cannot
    both post.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_next_sync_at", "next_sync_at"),
        Index("ix_subscriptions_user_id", "user_id"),
    )

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(40))
    customer_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    item_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    price_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    next_price_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    quantity: Mapped[int] = mapped_column(Integer, default=1)
    next_quantity: Mapped[int] = mapped_column(Integer, default=1)
    status: Mapped[str] = mapped_column(String(24))
    period_start: Mapped[datetime] = mapped_column(UtcDateTime)
    period_end: Mapped[datetime] = mapped_column(UtcDateTime)
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False)
    trial_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    past_due_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When Stripe tries the card again, where an invoice is unpaid."""
    livemode: Mapped[bool] = mapped_column()
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_sync_at: Mapped[datetime] = mapped_column(UtcDateTime)

    upgrade_price_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    upgrade_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The moment from which an upgrade under way is counted: a second try must not move it."""

    @property
    def live(self) -> bool:
        """Whether it is its owner's plan now."""
        return self.status in LIVE_STATUSES

    @property
    def will_change(self) -> bool:
        """Whether the next invoice is for something else than what is paid for now."""
        return (self.next_price_id, self.next_quantity) != (self.price_id, self.quantity)


class Invoice(Base):
    """One invoice of a subscription, and what became of the money."""

    __tablename__ = "invoices"
    __table_args__ = (Index("ix_invoices_subscription", "subscription_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    user_id: Mapped[str] = mapped_column(String(40), index=True)
    number: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    billing_reason: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(16))
    title: Mapped[str] = mapped_column(String(255), default="")
    """What was bought, in words: the plan and its cycle."""
    currency: Mapped[str] = mapped_column(String(3))
    subtotal_minor: Mapped[int] = mapped_column(BigInteger)
    total_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    paid_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    disputed: Mapped[bool] = mapped_column(default=False)
    payment_intent_id: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    page_url: Mapped[str | None] = mapped_column(String(2048))
    credits_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """What it gives in total, over all its months."""
    supersedes_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """It gives the months after this moment instead of the invoices before; null for none."""
    review_reason: Mapped[str | None] = mapped_column(String(120))
    livemode: Mapped[bool] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its credits were written down here; null until it is paid."""


class Refund(Base):
    """Money that somebody here decided to give back, stored before Stripe is asked."""

    __tablename__ = "refunds"
    __table_args__ = (CheckConstraint("state IN ('open', 'done', 'failed')", name="state"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    target_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH), index=True)
    """The purchase's id, or the invoice's."""
    payment_intent_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    reason: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(8), default="open")
    actor: Mapped[str] = mapped_column(String(120), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ScheduledGrant(Base):
    """One month's credits of a paid invoice: granted when it is due, unless it was taken back.

    ``starts_at`` and ``ends_at`` are the whole month that it stands for, also where an upgrade in
    its middle gave only a part. A ``superseded`` month is given by a later invoice, which names the
    whole of it again; ``canceled`` is one, or a part of one, that came due with nothing left of it.
    """

    __tablename__ = "scheduled_grants"
    __table_args__ = (
        CheckConstraint(f"state IN {GRANT_STATES!r}", name="state"),
        CheckConstraint("taken_micro BETWEEN 0 AND credits_micro", name="taken"),
        UniqueConstraint("invoice_id", "number"),
        Index("ix_scheduled_grants_due", "state", "due_at"),
        Index("ix_scheduled_grants_subscription", "subscription_id", "starts_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    invoice_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    number: Mapped[int] = mapped_column(Integer)
    subscription_id: Mapped[str] = mapped_column(String(STRIPE_ID_LENGTH))
    user_id: Mapped[str] = mapped_column(String(40))
    credits_micro: Mapped[int] = mapped_column(BigInteger)
    taken_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """What went back of it; of one that is due it is not granted, of a granted one revoked."""
    returned_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """The part of ``taken_micro`` whose time a later invoice gave back for money."""
    superseded_by: Mapped[str | None] = mapped_column(String(STRIPE_ID_LENGTH))
    """The invoice that gives it instead."""
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(12), default="due")
    grant_id: Mapped[int | None] = mapped_column(BigInteger)
