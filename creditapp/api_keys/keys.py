"""A member's API keys: create, list, change, revoke, and note the last use."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from creditapp import accounts
from creditapp.api_keys.budgets import PERIODS
from creditapp.api_keys.models import ApiKey
from creditapp.catalog import Catalog
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.services import get
from creditapp.units import MICRO_MAX

PREFIX: Final = "cak_"
"""Of every key, so that scanners of code can tell that a text is one."""
Scope = Literal["read", "generate", "spend", "purchase"]
SCOPES: Final[Mapping[Scope, str]] = {
    "read": "See balance, history, prices and what was made",
    "generate": "Make images, video, speech and chat",
    "spend": "Spend credits for features of other programs",
    "purchase": "Open checkouts and change plans",
}
"""Everything that a key may do, with a sentence for people."""
NAME_CHARACTERS_MAX: Final = 60
KEYS_MAX: Final = 50
"""Of one member, at the same time."""
SEEN_EVERY: Final = timedelta(minutes=1)
"""How old ``last_used_at`` may be before a request renews it, so that most requests only read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """Settings of a key, which its member decides."""

    name: str
    scopes: Collection[str]
    models: Collection[str] | None = None
    """None lets it use every model."""
    budget_micro: int | None = None
    """None leaves the balance as the only limit."""
    budget_period: str = "all"
    expires_at: datetime | None = None


def create_key(
    session: Session,
    user_id: str,
    settings: KeySettings,
    *,
    now: datetime,
    secret: str | None = None,
) -> tuple[ApiKey, str]:
    """Create a key; return its row and the key itself, which cannot be read again.

    ``secret`` is the part after the prefix, random without one; the same secret again returns the
    key that it created. Raises ``ValidationFailed``, or ``Conflict`` for one above ``KEYS_MAX``,
    also of two created at once, and for a secret whose key has ended.
    """
    # Alone: two who create at the same moment would each count the keys before theirs.
    accounts.require_open(session, user_id, alone=True)
    key = f"{PREFIX}{secret or secrets.token_urlsafe(32)}"
    query = select(ApiKey, _works(now)).where(ApiKey.digest == digest_of(key))
    if created := session.execute(query).one_or_none():
        row, works = created
        if not works:
            raise Conflict("The key of this form has ended. Send the form again for a new one.")
        return row, key
    count = select(func.count()).select_from(ApiKey).where(ApiKey.user_id == user_id, _works(now))
    if session.execute(count).scalar_one() >= KEYS_MAX:
        raise Conflict(f"You have {KEYS_MAX} API keys. Revoke one that you no longer need.")
    row = ApiKey(user_id=user_id, digest=digest_of(key), last_characters=key[-4:], created_at=now)
    _apply(row, settings, now)
    session.add(row)
    session.flush()
    return row, key


def digest_of(key: str) -> str:
    """Return the hash that a key is stored and found by."""
    return hashlib.sha256(key.encode()).hexdigest()


def list_keys(session: Session, user_id: str, *, now: datetime) -> Sequence[ApiKey]:
    """Return the member's keys that work, the newest first."""
    query = select(ApiKey).where(ApiKey.user_id == user_id, _works(now))
    return session.scalars(query.order_by(ApiKey.id.desc())).all()


def find_key(session: Session, user_id: str, key_id: str, *, now: datetime) -> ApiKey:
    """Return one of them; raise ``NotFound``."""
    query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id, _works(now))
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound
    return row


def change_key(
    session: Session, user_id: str, key_id: str, settings: KeySettings, *, now: datetime
) -> ApiKey:
    """Change what a key may do, from its next request on.

    Raises ``NotFound`` or ``ValidationFailed``.
    """
    row = find_key(session, user_id, key_id, now=now)
    _apply(row, settings, now)
    session.flush()
    return row


def revoke_key(session: Session, user_id: str, key_id: str, *, now: datetime) -> None:
    """End a key for good; raise ``NotFound`` if it has ended or is another's."""
    query = update(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id, _works(now))
    if session.execute(query.values(revoked_at=now).returning(ApiKey.id)).first() is None:
        raise NotFound


def delete_keys(session: Session, user_id: str) -> None:
    """Delete every key of a member whose account ends."""
    session.execute(delete(ApiKey).where(ApiKey.user_id == user_id))


def note_use(session: Session, key_id: str, *, now: datetime) -> None:
    """Renew when a key was last used."""
    seen = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now)
    session.execute(update(ApiKey).where(ApiKey.id == key_id, seen).values(last_used_at=now))


def _works(now: datetime) -> ColumnElement[bool]:
    has_time = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    return ApiKey.revoked_at.is_(None) & has_time


def _apply(row: ApiKey, settings: KeySettings, now: datetime) -> None:
    if problems := problems_of(settings, now=now):
        raise ValidationFailed.of_fields(problems)
    row.name = " ".join(settings.name.split())
    row.scopes = [scope for scope in SCOPES if scope in settings.scopes]
    row.models = None if settings.models is None else sorted(settings.models)
    row.budget_micro, row.budget_period = settings.budget_micro, settings.budget_period
    row.expires_at = settings.expires_at


def problems_of(settings: KeySettings, *, now: datetime) -> dict[str, str]:
    """Return a sentence for every field that is wrong."""
    problems = {
        "name": _name_problem(settings.name),
        "scopes": _scopes_problem(settings.scopes),
        "models": _models_problem(settings.models),
        "budget": _budget_problem(settings),
        "expiresAt": None,
    }
    if settings.expires_at is not None and settings.expires_at <= now:
        problems["expiresAt"] = "The end of a key is in the future."
    return {name: text for name, text in problems.items() if text}


def _name_problem(name: str) -> str | None:
    if not name.strip():
        return "Name the program that will use this key."
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        return f"A name has at most {NAME_CHARACTERS_MAX} characters, on one line."
    return None


def _scopes_problem(scopes: Collection[str]) -> str | None:
    if not scopes or any(scope not in SCOPES for scope in scopes):
        return f"Choose at least one of {', '.join(SCOPES)}."
    return None


def _models_problem(models: Collection[str] | None) -> str | None:
    if models is None:
        return None
    known = get(Catalog).model_names
    if unknown := [model for model in models if model not in known]:
        return f"There is no model {unknown[0][:64]}."
    return None if models else "Choose at least one model, or let the key use all."


def _budget_problem(settings: KeySettings) -> str | None:
    if settings.budget_period not in PERIODS:
        return f"A budget is for one of {', '.join(PERIODS)}."
    if settings.budget_micro is not None and not 0 < settings.budget_micro <= MICRO_MAX:
        return "A budget is a number of credits above zero."
    return None
