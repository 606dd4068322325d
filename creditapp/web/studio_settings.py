"""Settings of the studio's form: kept with the account, a guest's with the cookie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import session

from creditapp import accounts
from creditapp.accounts import User
from creditapp.db import transaction
from creditapp.http.sessions import current_member

KEPT = ("model", "n", "size", "quality", "style", "seconds", "voice", "format")
"""The fields that are kept; texts, files and seeds belong to one generation."""

_COOKIE = "studio"
_CHARACTERS_MAX = 64


def last_operation() -> str:
    """Return the operation chosen last; empty before the first choice."""
    return str(_settings().get("operation", ""))


def last_fields(operation: str) -> Mapping[str, str]:
    """Return the fields of an operation's form as they were chosen last."""
    fields: Mapping[str, str] = _settings().get(operation, {})
    return fields


def remember(operation: str, fields: Mapping[str, str]) -> None:
    """Keep an operation and the fields of its form; writes only if something changed.

    Owns its transaction.
    """
    kept = {name: fields[name][:_CHARACTERS_MAX] for name in KEPT if fields.get(name)}
    settings = {**_settings(), "operation": operation, operation: kept}
    if settings == _settings():
        return
    member = current_member()
    if member is None:
        session[_COOKIE] = settings
        return
    with transaction() as database:
        accounts.store_studio_settings(database, member.id, settings)


def carry(user: User) -> None:
    """Give a guest's settings to the account that has none yet, in the caller's transaction."""
    if user.studio_settings is None and session.get(_COOKIE):
        user.studio_settings = session[_COOKIE]


def _settings() -> dict[str, Any]:
    member = current_member()
    settings: dict[str, Any] = session.get(_COOKIE, {}) if member is None else {}
    return settings if member is None else member.studio_settings or {}
