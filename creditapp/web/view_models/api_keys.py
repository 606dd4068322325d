"""A member's API keys, as the settings show them: never more than four characters of a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from creditapp import api_keys
from creditapp.api_keys import ApiKey
from creditapp.catalog import Catalog
from creditapp.services import get
from creditapp.units import credits_number


@dataclass(frozen=True)
class ApiKeyView:
    """The ``api_key`` component: what a key may do, what it spent, when it was used and ends."""

    id: str
    name: str
    last_characters: str
    scopes: Sequence[str]
    models: Sequence[str]
    """Names; empty where it may use all."""
    budget_micro: int | None
    period: str
    spent_micro: int
    """Within the present period of its budget; without one, in all."""
    resets_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


def api_key(row: ApiKey, spent_micro: int, *, now: datetime) -> ApiKeyView:
    """Return a key with what it spent."""
    names = get(Catalog).model_names
    return ApiKeyView(
        id=row.id,
        name=row.name,
        last_characters=row.last_characters,
        scopes=row.scopes,
        models=[names.get(model_id, model_id) for model_id in row.models or ()],
        budget_micro=row.budget_micro,
        period=row.budget_period,
        spent_micro=spent_micro,
        resets_at=api_keys.bounds(row.budget_period, now=now)[1],
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
    )


def api_key_form(row: ApiKey | None) -> dict[str, Any]:
    """Return the form's values: those of a key, or the ones that a new key begins with."""
    if row is None:
        return {
            "name": "",
            "scopes": ["read", "generate"],
            "budget": "",
            "period": "month",
            "ends": "",
            "models": [],
        }
    budget = "" if row.budget_micro is None else str(credits_number(row.budget_micro))
    # A key ends with a day, and so a moment before the next one begins.
    last_day = row.expires_at and row.expires_at - timedelta(seconds=1)
    return {
        "name": row.name,
        "scopes": row.scopes,
        "budget": budget,
        "period": row.budget_period,
        "ends": f"{last_day:%Y-%m-%d}" if last_day else "",
        "models": row.models or [],
    }
