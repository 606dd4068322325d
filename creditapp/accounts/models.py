"""The tables of people, of their sessions and of their tries to log in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.accounts.email_address import ADDRESS_CHARACTERS_MAX, parse_address
from creditapp.db import UtcDateTime
from creditapp.errors import Forbidden
from creditapp.ids import new_id
from creditapp.ledger.charges import Budget

API_KEY_MODES = ("credits", "own")
"""Payment of the vendors: by the person's credits, or by the person's own keys."""


class User(db.Model):
    """A person with an account; erased but kept as a row once deleted, for the ledger's sake."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("low_balance_micro IS NULL OR low_balance_micro >= 0", name="low_balance"),
        CheckConstraint("password_epoch >= 1", name="password_epoch"),
        CheckConstraint(f"api_key_mode IN {API_KEY_MODES!r}", name="api_key_mode"),
        CheckConstraint("(email_key IS NULL) = (deleted_at IS NOT NULL)", name="deleted"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("usr"))
    email: Mapped[str] = mapped_column(String(ADDRESS_CHARACTERS_MAX))
    """As typed; empty once deleted."""
    email_key: Mapped[str | None] = mapped_column(String(ADDRESS_CHARACTERS_MAX), unique=True)
    """Normalised, one account each; null once deleted, so that the address is free again."""
    new_email: Mapped[str | None] = mapped_column(String(ADDRESS_CHARACTERS_MAX))
    """As typed, until it is confirmed and takes the place of ``email``."""
    person_hash: Mapped[str] = mapped_column(String(64), index=True)
    """Hash of the person, the same in a later account: one-time credits are keyed by it."""
    name: Mapped[str] = mapped_column(String(120), default="")
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    password_epoch: Mapped[int] = mapped_column(Integer, default=1)
    """Raised with each new password, which makes the emailed links of before invalid."""
    low_balance_micro: Mapped[int | None] = mapped_column(BigInteger)
    """The person's own threshold; null is the catalog's."""
    studio_settings: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """The last choices in the studio's form; null before the first one."""
    api_key_mode: Mapped[str] = mapped_column(String(8), default="credits")
    """One of ``API_KEY_MODES``; the catalog says with which an account starts."""
    is_admin: Mapped[bool] = mapped_column(default=False)
    frozen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def deliverable_email(self) -> str:
        """The address for other services: the domain in its ASCII form, not as typed."""
        return parse_address(self.email).deliverable

    @property
    def new_deliverable_email(self) -> str | None:
        """The new address that waits for its confirmation, in the form that emails are sent to."""
        return parse_address(self.new_email).deliverable if self.new_email else None

    @property
    def verified(self) -> bool:
        """Whether the address was confirmed."""
        return self.verified_at is not None

    @property
    def is_active(self) -> bool:
        """Whether the person may be signed in."""
        return self.deleted_at is None and self.frozen_at is None


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of an API key or access token: what a program may do in its member's name."""

    id: str | None
    """None for an access token, which has no row."""
    scopes: frozenset[str]
    models: frozenset[str] | None
    """The models that it may use; None is all."""
    budget: Budget | None
    """The budget of the current period; None is none."""
    feature: str | None = None
    """The only feature that an access token may spend for."""


@dataclass(frozen=True)
class Member:
    """A signed-in person: what most requests need, read by one query and never written."""

    id: str
    email: str
    is_admin: bool
    verified: bool
    low_balance_micro: int | None
    """The person's own threshold; None is the catalog's."""
    session_id: str
    last_seen_at: datetime
    wallet_id: int | None
    topup_below_micro: int | None
    """Below this balance an automatic top-up is due; None without one."""
    studio_settings: dict[str, Any] | None = None
    """The last choices in the studio's form."""
    api_key_mode: str = "credits"
    """``credits``, or ``own`` for the person's own keys of vendors."""
    key: KeyLimits | None = None
    """The API key of a program that acts for the person; None for the person's own browser."""
    max_micro: int | None = None
    """The most that this request may cost, where it says so."""

    # Flask-Login's interface of a user, without importing it.
    is_authenticated = is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """Return what a session cookie carries."""
        return self.session_id

    @property
    def owner(self) -> tuple[str, str]:
        """The owner of what this member makes and uploads: its kind and id."""
        return "user", self.id

    def low_at_micro(self, standard_micro: int) -> int:
        """Return the balance of the low balance warning; ``standard_micro`` is the catalog's."""
        return standard_micro if self.low_balance_micro is None else self.low_balance_micro

    @property
    def key_id(self) -> str | None:
        """The id of the API key that charges are made with; None for a browser."""
        return self.key.id if self.key is not None else None

    @property
    def budget(self) -> Budget | None:
        """The budget of that key."""
        return self.key.budget if self.key is not None else None

    @property
    def feature(self) -> str | None:
        """The only feature that the request may spend for; None for any."""
        return self.key.feature if self.key is not None else None

    def require_model(self, model_id: str) -> None:
        """Raise ``Forbidden`` for a model that the API key may not use."""
        if self.key is not None and self.key.models is not None and model_id not in self.key.models:
            allowed = ", ".join(sorted(self.key.models))
            raise Forbidden(f"This API key may use {allowed} only.")


class LoginSession(db.Model):
    """One log-in of a member on one device; what its cookie may open ends with the row."""

    __tablename__ = "login_sessions"
    __table_args__ = (Index(None, "user_id"), Index(None, "last_seen_at"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    device: Mapped[str] = mapped_column(String(80))
    """Browser and system, for the person to recognise it by: ``Firefox on Linux``."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CreditedAddress(db.Model):
    """An address that gives no one-time credits, because an account changed to it."""

    __tablename__ = "credited_addresses"

    person_hash: Mapped[str] = mapped_column(String(64), primary_key=True)


class Throttle(db.Model):
    """How often something was tried since its window opened; the key is a keyed hash."""

    __tablename__ = "throttles"
    __table_args__ = (Index(None, "window_started_at"),)

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    window_started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(Integer)
