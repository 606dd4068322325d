"""View model of the problem component."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import g, request

from creditapp import units
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.errors import AppError, CsrfFailed
from creditapp.http.csrf import is_foreign
from creditapp.http.viewer import viewer
from creditapp.services import get

# Fields that are never rendered into a page again.
_NEVER_KEPT = ("csrf_token", "password", "new_password", "current_password")


def problem_view(error: AppError) -> dict[str, Any]:
    """Return an error as the problem component shows it."""
    fields = error.fields
    view: dict[str, Any] = {
        "status": error.status,
        "code": error.code,
        "title": error.title,
        "detail": error.detail,
        "errors": fields.get("errors") or [],
        "request_id": g.get("request_id", ""),
        "support_email": get(Settings).support_email,
        "next": "/",
        "retry_after": _whole(error.headers.get("Retry-After")),
        "credits_charged": fields.get("creditsCharged"),
        "text": None,
    }
    if error.status == 402:
        catalog = get(Catalog)
        view |= {
            "required_micro": _micro(fields.get("required")),
            "balance_micro": _micro(fields.get("balance")),
            "shortfall_micro": _micro(fields.get("shortfall")),
            "packs": catalog.packs if viewer().kind == "user" else [],
            "catalog": catalog.digest,
        }
    if error.status == 429:
        view |= {
            "reset_at": _moment(fields.get("resetAt")),
            "limit": fields.get("limit"),
            "signup_micro": _micro(fields.get("signupCredits")),
        }
    # Fields of another site's form were not typed here; filled in, one click would send them.
    if isinstance(error, CsrfFailed) and not is_foreign():
        view["text"] = request.form.get("prompt")
        view["kept"] = {
            name: text for name, text in request.form.items() if name not in _NEVER_KEPT
        }
        view["retry_url"] = request.path
    return view


def _micro(value: object) -> int | None:
    if value is None:
        return None
    return int(value * units.MICRO_PER_CREDIT)  # type: ignore[operator]  # an int or a Decimal


def _moment(value: object) -> datetime | None:
    """Return an error's moment, which is RFC 3339 text for the API."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
