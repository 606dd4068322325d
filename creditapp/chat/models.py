"""Conversations, their messages, and the usage records of everything paid by the token."""

from __future__ import annotations

from datetime import datetime
from typing import Any

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
from creditapp.catalog.models import TOKEN_OPERATIONS
from creditapp.db import UtcDateTime

ROLES = ("system", "user", "assistant")
FINISH_REASONS = ("stop", "length", "filtered", "stopped", "failed")
"""``stopped`` by the user; the first three are the model's own."""


def _where(condition: str) -> dict[str, Any]:
    """Return the options of an index of the rows that meet a condition."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class Conversation(db.Model):
    """A member's conversation with language models."""

    __tablename__ = "conversations"
    __table_args__ = (
        CheckConstraint(f"source IN {TOKEN_OPERATIONS!r}", name="source"),
        CheckConstraint("length >= 0", name="length"),
        Index("ix_conversations_user_id", "user_id", "updated_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    source: Mapped[str] = mapped_column(String(12))
    title: Mapped[str] = mapped_column(String(80))
    length: Mapped[int] = mapped_column(Integer)
    """How many messages it has; the next one gets this position."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Message(db.Model):
    """One message. An answer's text is what has been stored of it so far; it may stay empty."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint(f"role IN {ROLES!r}", name="role"),
        UniqueConstraint("conversation_id", "position"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    position: Mapped[int] = mapped_column(Integer)
    role: Mapped[str] = mapped_column(String(12))
    text: Mapped[str] = mapped_column(Text)
    image_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    """The uploads and delivered images that came with it; some may have been deleted since."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    superseded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When an edited question or another answer took its place."""


class UsageRecord(db.Model):
    """One call of a language model, with its tokens and its cost.

    ``open`` while the model answers: the tokens are then those estimated or reported so far.
    ``settled`` is a compare-and-set, so that it is charged once.
    """

    __tablename__ = "usage_records"
    __table_args__ = (
        CheckConstraint(f"source IN {TOKEN_OPERATIONS!r}", name="source"),
        CheckConstraint("state IN ('open', 'settled')", name="state"),
        CheckConstraint("(state = 'settled') = (settled_at IS NOT NULL)", name="settled"),
        CheckConstraint("funding IN ('wallet', 'own_key')", name="funding"),
        CheckConstraint(f"finish_reason IN {FINISH_REASONS!r}", name="finish_reason"),
        CheckConstraint("cost_micro BETWEEN 0 AND held_micro", name="cost"),
        CheckConstraint(
            "cached_tokens >= 0 AND cache_write_tokens >= 0"
            " AND cached_tokens + cache_write_tokens <= input_tokens",
            name="input",
        ),
        CheckConstraint("reasoning_tokens BETWEEN 0 AND output_tokens", name="output"),
        UniqueConstraint("user_id", "request_key"),
        # Ids sort by time: the list of a member is this index, read from its end.
        Index("ix_usage_records_user_id", "user_id", "id"),
        Index("ix_usage_records_created_at", "user_id", "created_at"),
        Index("ix_usage_records_open", "lease_until", **_where("state = 'open'")),
        Index("ix_usage_records_answer", "created_at", **_where("answer IS NOT NULL")),
        Index("ix_usage_records_conversation_id", "conversation_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    request_key: Mapped[str] = mapped_column(String(128))
    request_digest: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(12))
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"))
    message_id: Mapped[str | None] = mapped_column(ForeignKey("messages.id"))
    """The answer; embeddings have none."""
    answer: Mapped[str | None] = mapped_column(Text)
    """The text of an answer that no conversation has: until it is settled, and after that only
    where a repeated request with its key may ask for it."""
    provider: Mapped[str] = mapped_column(String(24))
    model: Mapped[str] = mapped_column(String(64))
    model_name: Mapped[str] = mapped_column(String(64))
    catalog_version: Mapped[str] = mapped_column(String(64))
    preview: Mapped[bool] = mapped_column(default=False)
    omitted_messages: Mapped[int] = mapped_column(Integer, default=0)
    """The oldest of the conversation, which the model's context had no room for."""

    funding: Mapped[str] = mapped_column(String(8))
    wallet_id: Mapped[int | None] = mapped_column(BigInteger)
    charge_id: Mapped[int | None] = mapped_column(BigInteger)
    held_micro: Mapped[int] = mapped_column(BigInteger)
    cost_micro: Mapped[int] = mapped_column(BigInteger, default=0)

    input_tokens: Mapped[int] = mapped_column(Integer)
    """Of the whole prompt; those that the vendor's cache read and wrote are parts of them."""
    cached_tokens: Mapped[int] = mapped_column(Integer, default=0)
    cache_write_tokens: Mapped[int] = mapped_column(Integer, default=0)
    output_tokens: Mapped[int] = mapped_column(Integer, default=0)
    """Including those of reasoning."""
    reasoning_tokens: Mapped[int] = mapped_column(Integer, default=0)
    estimated: Mapped[bool] = mapped_column(default=True)
    """Whether the vendor did not report all of them."""

    state: Mapped[str] = mapped_column(String(8))
    finish_reason: Mapped[str | None] = mapped_column(String(12))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_text: Mapped[str | None] = mapped_column(String(240))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
    stop_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
