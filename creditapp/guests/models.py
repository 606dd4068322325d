"""Tables of guest windows, daily budgets and claims."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import JSON, CheckConstraint, Date, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime
from creditapp.ids import new_id


class GuestWindow(db.Model):
    """How much one cookie or one network has used since its window opened."""

    __tablename__ = "guest_windows"
    __table_args__ = (CheckConstraint("used >= 0", name="used"), Index(None, "started_at"))

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    """``cookie:<id>`` or ``network:<keyed hash>``; never an address."""
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used: Mapped[int] = mapped_column(Integer)


class GuestBudget(db.Model):
    """A share of what all guests together may use on one day (UTC)."""

    __tablename__ = "guest_budgets"
    __table_args__ = (CheckConstraint("used >= 0", name="used"),)

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    shard: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    used: Mapped[int] = mapped_column(Integer)


class GuestClaim(db.Model):
    """One free image, claimed from the windows and the share of the day that it names."""

    __tablename__ = "guest_claims"
    __table_args__ = (
        CheckConstraint("state IN ('claimed', 'kept', 'returned')", name="state"),
        Index(None, "claimed_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("clm"))
    windows: Mapped[dict[str, str]] = mapped_column(JSON)
    """The key of each window, in the order of counting, and when it opened (ISO 8601)."""
    budget_day: Mapped[date] = mapped_column(Date)
    budget_shard: Mapped[int] = mapped_column(Integer)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(12))
    generation_id: Mapped[str | None] = mapped_column(String(40), unique=True)
