"""Own keys in the settings: choose the mode, enter a key, remove it."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp import credentials
from creditapp.accounts.throttle import count_try, counter
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.credentials import VENDORS, Vendor
from creditapp.db import stop_reading, transaction
from creditapp.errors import AppError, NotFound, ValidationFailed
from creditapp.generation.providers import Providers
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import go
from creditapp.http.sessions import require_account, require_member
from creditapp.http.viewer import notify
from creditapp.rate_limits import KEY_CHECKS
from creditapp.services import get
from creditapp.web.settings import page

SETTINGS_PATH = "/settings#provider-keys"

pages = Blueprint("provider_keys", __name__)


@pages.post("/settings/api-key-mode")
@policy("user")
def save_mode() -> Response:
    """Let the member pay with own keys or with credits."""
    member = require_account()
    mode = forms.text("api_key_mode")
    try:
        with transaction() as session:
            credentials.choose_mode(session, member.id, mode)
    except ValidationFailed as refusal:
        return page(member, refusal)
    text = "You pay with your own keys now." if mode == "own" else "You pay with credits now."
    notify("info", text=text)
    return go(SETTINGS_PATH)


@pages.post("/settings/provider-keys/<vendor_id>")
@policy("user")
def save_key(vendor_id: str) -> Response:
    """Check a key at its vendor and store it; one that the vendor refuses is not stored."""
    member, vendor = require_account(), _vendor(vendor_id)
    try:
        checked = _check_and_store(member.id, vendor)
    except AppError as refusal:
        return page(member, refusal)
    detail = "" if checked else f" {vendor.name} did not answer, so it is not checked yet."
    notify("info", text=f"Your {vendor.name} key is saved.{detail}")
    return go(SETTINGS_PATH)


@pages.post("/settings/provider-keys/<vendor_id>/remove")
@policy("user")
def remove_key(vendor_id: str) -> Response:
    """Erase the key of a vendor."""
    member, vendor = require_member(), _vendor(vendor_id)
    with transaction() as session:
        credentials.remove_key(session, member.id, vendor)
    notify("info", text=f"Your {vendor.name} key is removed.")
    return go(SETTINGS_PATH)


def _check_and_store(user_id: str, vendor: Vendor) -> bool:
    """Store the key of the form; return whether the vendor accepted it."""
    field = f"{vendor.id}_key"
    key = credentials.parse_key(forms.text("provider_key"), field)
    limit = counter("key", KEY_CHECKS, get(Settings).derived_key("keys"), user_id)
    with transaction() as session:
        count_try(session, [limit], now=now(), detail="You checked many keys.")
    stop_reading()  # the vendor may take seconds
    state = get(Providers).check_key(vendor.id, key)
    if state == "refused":
        text = f"{vendor.name} does not accept this key. Copy it whole, or create a new one there."
        raise ValidationFailed.of(field, text)
    checked_at = now() if state == "accepted" else None
    with transaction() as session:
        credentials.store_key(session, user_id, vendor, key, checked_at=checked_at, now=now())
    return checked_at is not None


def _vendor(vendor_id: str) -> Vendor:
    if vendor_id not in VENDORS:
        raise NotFound
    return VENDORS[vendor_id]
