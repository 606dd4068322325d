"""Tables of emails, of unsubscribed events, and of expiry reminders that were sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime


class Email(db.Model):
    """One email; its text and its links exist only while it is sent."""

    __tablename__ = "emails"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'failed', 'dropped')", name="state"
        ),
        Index(None, "state", "due_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    event: Mapped[str] = mapped_column(String(60))
    key: Mapped[str] = mapped_column(String(200), unique=True)
    """Identifies the event, so that it is emailed once."""
    address: Mapped[str] = mapped_column(String(254))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    context: Mapped[dict[str, object]] = mapped_column(JSON)
    """Values for the template; no token, no password: links are created when it is rendered."""
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When to try next; while sending, when the attempt counts as lost."""
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(120))
    """The type of the last failure; never the server's text, which may quote the address."""


class EmailOptOut(db.Model):
    """An event that a user has unsubscribed from."""

    __tablename__ = "email_refusals"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    event: Mapped[str] = mapped_column(String(60), primary_key=True)
    refused_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ExpiryNotice(db.Model):
    """An expiry reminder that was queued; a changed expiry date gets a new one."""

    __tablename__ = "expiry_notices"

    grant_id: Mapped[int] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    days: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)
