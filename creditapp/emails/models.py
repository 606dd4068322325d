"""The tables of mails: to be sent and sent, not wanted, and what was told of credits that end."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp.db import Base, UtcDateTime


class Mail(Base):
    """One mail: what happened and to whom. Its text and its links exist only while it is sent."""

    __tablename__ = "mails"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'failed', 'dropped')", name="state"
        ),
        Index(None, "state", "due_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    event: Mapped[str] = mapped_column(String(60))
    key: Mapped[str] = mapped_column(String(200), unique=True)
    """What the mail is about, so that the same thing is mailed once."""
    address: Mapped[str] = mapped_column(String(254))
    user_id: Mapped[str | None] = mapped_column(String(40), index=True)
    context: Mapped[dict[str, object]] = mapped_column(JSON)
    """What the template needs; no token, no password: links are made when the mail is rendered."""
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When to try next; while sending, when the attempt counts as lost."""
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(120))
    """The kind of the last failure; never the server's words, which may quote the address."""


class MailRefusal(Base):
    """A person who does without the mails of one event, and since when."""

    __tablename__ = "mail_refusals"

    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    event: Mapped[str] = mapped_column(String(60), primary_key=True)
    refused_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ExpiryNotice(Base):
    """That the end of a grant was told so many days before; an end put off is told anew."""

    __tablename__ = "expiry_notices"

    grant_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    days: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)
