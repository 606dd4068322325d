"""View model of the problem component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from flask import g, request

from creditapp.catalog import Catalog
from creditapp.catalog.products import Pack
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.errors import AppError, CsrfFailed, ValidationFailed
from creditapp.http.csrf import is_foreign
from creditapp.http.viewer import viewer
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

NEVER_KEPT = frozenset(
    {
        *("csrf_token", "password", "new_password", "current_password", "email_password"),
        *("provider_key", "receipt"),
    }
)
"""Fields of forms that are never rendered into a page again."""

KEPT = frozenset(
    {
        *("prompt", "model", "n", "size", "quality", "choose", "nonce", "next"),
        *("operation", "compare", "models", "negativePrompt", "style", "seed", "seconds"),
        *("voice", "format", "images", "image", "mask", "audio"),
        *("plan", "cycle", "seats", "pack", "currency", "catalog", "shown_micro", "counts_manual"),
        *("email", "new_email", "name", "low_balance", "notify", "everywhere", "starred"),
        *("report", "download", "theme", "deletion", "place", "tiles", "list"),
        *("threshold", "limit", "card", "agree", "flow", "q", "type", "cursor", "payment"),
        *("quoted_at", "charged_minor", "credits_micro"),
        *("add_to", "kinds", "single", "api_key_mode"),
        *("scopes", "budget", "period", "ends", "url", "description", "events", "enabled"),
        *("text", "conversation", "edited", "edit", "before"),
    }
)
"""Fields of our forms that a refused form gives back; what else was sent is not rendered."""

_PROMPT_CHARACTERS_MAX = 8000
_FIELD_CHARACTERS_MAX = 512


@dataclass(frozen=True)
class ProblemView:
    """An error as the ``problem`` component shows it; what it does not have is None or empty."""

    status: int
    code: str
    title: str
    detail: str
    request_id: str
    support_email: str
    errors: Sequence[Mapping[str, str]] = ()
    retry_at: datetime | None = None
    credits_charged: object = None
    required_micro: int | None = None
    balance_micro: int | None = None
    shortfall_micro: int | None = None
    signup_micro: int | None = None
    limit: object = None
    reset_at: datetime | None = None
    packs: Sequence[Pack] = ()
    sells_plans: bool = False
    kept: Mapping[str, str] = field(default_factory=dict)
    """The fields of a form that can be sent again to ``retry_url``."""
    retry_url: str | None = None


def problem_view(error: AppError) -> ProblemView:
    """Return an error as the problem component shows it."""
    fields = error.fields
    retry_after = error.headers.get("Retry-After", "")
    reset_at = fields.get("resetAt")
    # Fields of another site's form were not typed here; filled in, one click would send them.
    can_send_again = isinstance(error, CsrfFailed) and not is_foreign()
    return ProblemView(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        request_id=g.get("request_id", ""),
        support_email=get(Settings).support_email,
        errors=error.errors if isinstance(error, ValidationFailed) else (),
        retry_at=now() + timedelta(seconds=int(retry_after)) if retry_after.isdecimal() else None,
        credits_charged=fields.get("creditsCharged"),
        required_micro=_micro(fields.get("required")),
        balance_micro=_micro(fields.get("balance")),
        shortfall_micro=_micro(fields.get("shortfall")),
        signup_micro=_micro(fields.get("signupCredits")),
        limit=fields.get("limit"),
        # RFC 3339 text, as the API has it.
        reset_at=datetime.fromisoformat(reset_at) if isinstance(reset_at, str) else None,
        packs=get(Catalog).packs if error.status == 402 and viewer().kind == "user" else (),
        sells_plans=any(not plan.free for plan in get(Catalog).plans),
        kept=_typed_fields() if can_send_again else {},
        retry_url=request.path if can_send_again else None,
    )


def _typed_fields() -> dict[str, str]:
    return {
        name: text[: _PROMPT_CHARACTERS_MAX if name == "prompt" else _FIELD_CHARACTERS_MAX]
        for name, text in request.form.items()
        if name in KEPT
    }


def _micro(value: object) -> int | None:
    return int(value * MICRO_PER_CREDIT) if isinstance(value, int | Decimal) else None
