"""API keys in the settings: create one, see what each may do and spent, change and revoke it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response

from creditapp import api_keys, units
from creditapp.accounts.hashing import keyed_hash
from creditapp.api_keys import PERIODS, SCOPES, ApiKey, KeySettings
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.errors import AppError, ValidationFailed
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go
from creditapp.http.sessions import require_member
from creditapp.http.viewer import notify
from creditapp.services import get
from creditapp.web import view_models

PATH = "/settings/api-keys"

pages = Blueprint("api_keys", __name__)


@pages.get("/settings/api-keys")
@policy("user")
def list_keys() -> Response:
    """Show the member's keys, and the form for a new one."""
    return _list_page()


@pages.post("/settings/api-keys")
@policy("user")
def create_key() -> Response:
    """Create a key and show it; the same form again shows the same key."""
    user_id = require_member().id
    try:
        settings = _settings()
        secret = _secret(user_id, settings)
        with transaction() as session:
            row, key = api_keys.create_key(session, user_id, settings, now=now(), secret=secret)
    except AppError as refusal:
        return _list_page(refusal)
    return _list_page(created=row, key=key)


@pages.get("/settings/api-keys/<key_id>")
@policy("user")
def show_key(key_id: str) -> Response:
    """Show one key with its settings."""
    return _key_page(api_keys.find_key(reading(), require_member().id, key_id, now=now()))


@pages.post("/settings/api-keys/<key_id>")
@policy("user")
def change_key(key_id: str) -> Response:
    """Change what a key may do, from its next request on."""
    user_id = require_member().id
    row = api_keys.find_key(reading(), user_id, key_id, now=now())
    try:
        settings = _settings()
        with transaction() as session:
            api_keys.change_key(session, user_id, key_id, settings, now=now())
    except ValidationFailed as refusal:
        return _key_page(row, refusal)
    notify("info", text=f"{settings.name} is saved.")
    return go(PATH)


@pages.post("/settings/api-keys/<key_id>/revoke")
@policy("user")
def revoke_key(key_id: str) -> Response:
    """Revoke a key for good."""
    with transaction() as session:
        api_keys.revoke_key(session, require_member().id, key_id, now=now())
    notify("info", text="The key is revoked. Programs that use it are refused from now on.")
    return go(PATH)


def _list_page(
    refusal: AppError | None = None, *, created: ApiKey | None = None, key: str | None = None
) -> Response:
    moment, session = now(), reading()
    rows = api_keys.list_keys(session, require_member().id, now=moment)
    spent = api_keys.spent_micro(session, rows, now=moment)
    response = form_page(
        "pages/api_keys/index.html",
        refusal,
        keys=[view_models.api_key(row, spent.get(row.id, 0), now=moment) for row in rows],
        created=created and {"name": created.name, "key": key},
        nonce=secrets.token_urlsafe(16),
        **_form(None, sent=refusal is not None),
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _key_page(row: ApiKey, refusal: AppError | None = None) -> Response:
    moment = now()
    spent = api_keys.spent_micro(reading(), [row], now=moment)
    return form_page(
        "pages/api_keys/key.html",
        refusal,
        key=view_models.api_key(row, spent.get(row.id, 0), now=moment),
        **_form(row, sent=refusal is not None),
    )


def _form(row: ApiKey | None, *, sent: bool) -> dict[str, Any]:
    """Return the values of the form: what was sent, those of a key, or those of a new one."""
    values = view_models.api_key_form(row)
    if sent:
        values = {
            "name": forms.text("name", 200),
            "scopes": forms.several("scopes", len(SCOPES)),
            "budget": forms.text("budget"),
            "period": forms.text("period"),
            "ends": forms.text("ends"),
            "models": forms.several("models"),
        }
    return {
        "form": values,
        "scopes": SCOPES,
        "periods": PERIODS,
        "models": list(get(Catalog).model_names.items()),
    }


def _settings() -> KeySettings:
    """Return the settings of the form; raise ``ValidationFailed`` naming every wrong field."""
    unread: dict[str, str] = {}
    settings = KeySettings(
        name=forms.text("name", 200),
        scopes=forms.several("scopes"),
        models=forms.several("models") or None,
        budget_micro=_budget_micro(unread),
        budget_period=forms.text("period") or "all",
        expires_at=_end(unread),
    )
    if unread:
        raise ValidationFailed.of_fields(api_keys.problems_of(settings, now=now()) | unread)
    return settings


def _secret(user_id: str, settings: KeySettings) -> str:
    """Return the secret of the key that this form creates.

    It follows from the form, so that a double click or a reload shows a key that is stored as its
    hash alone. Nobody can compute it without the secret of the server.
    """
    form_key = forms.idempotency_key(hashlib.sha256(repr(settings).encode()).hexdigest())
    digest = keyed_hash(get(Settings).secret_key, "API key of a form", f"{user_id}\0{form_key}")
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def _budget_micro(unread: dict[str, str]) -> int | None:
    """Return the budget; note one that cannot be read."""
    text = forms.text("budget", None).strip()
    try:
        return units.micro_from_text(text) if text else None
    except units.AmountInvalid as error:
        unread["budget"] = str(error)
        return None


def _end(unread: dict[str, str]) -> datetime | None:
    """Return the end of the chosen day; note one that cannot be read."""
    text = forms.text("ends").strip()
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
        return day + timedelta(days=1) if day else None
    except (ValueError, OverflowError):
        unread["expiresAt"] = "Enter a day as year-month-day."
        return None
