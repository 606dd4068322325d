"""The table of people's own keys of vendors."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.credentials.vendors import VENDORS
from creditapp.db import UtcDateTime

REFUSED: Final = "refused"
"""The vendor does not accept the key."""
EMPTY: Final = "empty"
"""The vendor says that the account of the key is empty."""


class ProviderKey(db.Model):
    """One person's key of one vendor, encrypted for both (``encryption.py``)."""

    __tablename__ = "provider_keys"
    __table_args__ = (
        CheckConstraint(f"vendor IN {tuple(VENDORS)!r}", name="vendor"),
        CheckConstraint(f"problem IN ({REFUSED!r}, {EMPTY!r})", name="problem"),
        CheckConstraint("(problem IS NULL) = (problem_at IS NULL)", name="problem_at"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    vendor: Mapped[str] = mapped_column(String(16), primary_key=True)
    encrypted_key: Mapped[str] = mapped_column(Text)
    last_characters: Mapped[str] = mapped_column(String(4))
    """All of the key that is ever shown."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the vendor last accepted it; null while it could not be asked."""
    problem: Mapped[str | None] = mapped_column(String(8))
    """Why it stopped working: ``refused`` or ``empty``."""
    problem_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
