"""The table of API keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime
from creditapp.ids import new_id


class ApiKey(db.Model):
    """One member's key for one program. A revoked one stays, because charges name it."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("budget_micro > 0", name="budget_micro"),
        CheckConstraint("budget_period IN ('day', 'week', 'month', 'all')", name="budget_period"),
        Index(None, "user_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("key"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the key: 256 random bits need no slow hash."""
    last_characters: Mapped[str] = mapped_column(String(4))
    """All of the key that is ever shown again."""
    scopes: Mapped[list[str]] = mapped_column(JSON)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The models that it may use; null is all."""
    budget_micro: Mapped[int | None] = mapped_column(BigInteger)
    budget_period: Mapped[str] = mapped_column(String(5), default="all")
    """The period that a budget is for: ``day``, ``week``, ``month``, or ``all`` of its life."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Within a minute: most requests only read."""
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
