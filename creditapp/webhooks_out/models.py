"""Tables of webhooks: endpoints, the events queued for each, and every attempt to deliver one."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime

STATES: Final = ("pending", "delivered", "failed", "not_sent")
"""Not sent: too many waited for the endpoint already."""
REASONS: Final = ("member", "failing", "gone")
"""Why an endpoint is off: its member, days of failures, or its answer 410."""

_PENDING = text("state = 'pending'")


class WebhookEndpoint(db.Model):
    """An address of a member that receives the events it chose."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint(f"disabled_reason IN {REASONS!r}", name="disabled_reason"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled_at"),
        Index("ix_webhook_endpoints_user_id", "user_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    url: Mapped[str] = mapped_column(String(500))
    description: Mapped[str] = mapped_column(String(100))
    events: Mapped[list[str]] = mapped_column(JSON)
    encrypted_secret: Mapped[str] = mapped_column(Text)
    encrypted_previous_secret: Mapped[str | None] = mapped_column(Text)
    previous_secret_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when the secret before signs too."""
    announced_seq: Mapped[int | None] = mapped_column(BigInteger)
    """The last entry of the member's history that was queued or skipped; null where it chose no
    event of the history."""
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The first failure since the last success."""
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_reason: Mapped[str | None] = mapped_column(String(8))
    run: Mapped[int] = mapped_column(Integer, default=0)
    """The number of the job that delivers to it; an earlier one stops."""
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Before this no other job is started for it."""
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """After a failure: before this nothing is sent, unless its member asks for it."""
    slow_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """After a slow answer: until then it is called in the threads of slow receivers."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookDelivery(db.Model):
    """One event for one endpoint. Its id is the ``webhook-id`` of every attempt."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES!r}", name="state"),
        UniqueConstraint("endpoint_id", "key"),
        Index("ix_webhook_deliveries_endpoint_id", "endpoint_id", "id"),
        Index("ix_webhook_deliveries_created_at", "created_at"),
        Index(
            "ix_webhook_deliveries_due",
            *("endpoint_id", "due_at"),
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"))
    key: Mapped[str] = mapped_column(String(160))
    """The cause, so that it is queued once."""
    event: Mapped[str] = mapped_column(String(32))
    payload: Mapped[str] = mapped_column(Text)
    """The body, byte for byte."""
    state: Mapped[str] = mapped_column(String(9))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    retries: Mapped[int] = mapped_column(Integer, default=0)
    """How many waits of the schedule are used; sending it again begins anew."""
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookAttempt(db.Model):
    """One attempt: when, how long it took, and the status or what went wrong. No body is kept."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    milliseconds: Mapped[int] = mapped_column(Integer)
    status: Mapped[int | None] = mapped_column(Integer)
    problem: Mapped[str | None] = mapped_column(String(24))
    """Null after a success; the reasons are in ``transport.py`` and ``runs.py``."""
