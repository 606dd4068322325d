"""Automatic top-up, for the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NotRequired, TypedDict

from creditapp import units
from creditapp.catalog import Catalog, Pack
from creditapp.payments.auto_topup.limits import MonthlyUsage, start_of_next_month
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.services import get


class TopupForm(TypedDict):
    """Values of the ``topup_form`` component."""

    pack: str
    threshold: str
    limit: str
    counts_manual: bool


class Topup(TypedDict):
    """The ``topup_state`` component with the form; the optional keys need an agreement."""

    state: str
    form: TopupForm
    packs: Sequence[Pack]
    catalog: str
    card: NotRequired[str]
    price_minor: NotRequired[int]
    currency: NotRequired[str]
    credits_micro: NotRequired[int]
    threshold_micro: NotRequired[int]
    limit_minor: NotRequired[int]
    taken_minor: NotRequired[int]
    counts_manual: NotRequired[bool]
    agreed_at: NotRequired[datetime]
    full_until: NotRequired[str | None]


def topup(
    row: AutoTopup | None, month: MonthlyUsage | None, sent: Mapping[str, str] | None
) -> Topup:
    """Return the agreement and the form; ``sent`` has the values of a refused form."""
    catalog = get(Catalog)
    view: Topup = {
        "state": _state(row),
        "form": _form(row) if sent is None else _sent_form(sent),
        "packs": catalog.packs,
        "catalog": catalog.digest,
    }
    if row is None or month is None:
        return view
    next_month = start_of_next_month(month.at)
    return {
        **view,
        "card": row.card if row.card_id else "",
        "price_minor": row.price_minor,
        "currency": row.currency,
        "credits_micro": row.credits_micro,
        "threshold_micro": row.threshold_micro,
        "limit_minor": row.limit_minor,
        "taken_minor": month.charged_minor,
        "counts_manual": row.counts_manual,
        "agreed_at": row.consented_at,
        "full_until": f"{next_month.day} {next_month:%b %Y}" if month.is_exhausted(row) else None,
    }


def _state(row: AutoTopup | None) -> str:
    if row is None:
        return "never"
    if row.stopped_at is not None:
        return row.stopped_reason or "member"
    return "on" if row.on else "card"


def _form(row: AutoTopup | None) -> TopupForm:
    catalog = get(Catalog)
    if row is None:
        best_value = next((pack.id for pack in catalog.packs if pack.best_value), "")
        threshold = str(units.credits_number(catalog.low_balance_micro))
        return {"pack": best_value, "threshold": threshold, "limit": "", "counts_manual": False}
    digits = units.minor_digits(row.currency)
    return {
        "pack": row.pack_id,
        "threshold": str(units.credits_number(row.threshold_micro)),
        "limit": str(Decimal(row.limit_minor).scaleb(-digits)),
        "counts_manual": row.counts_manual,
    }


def _sent_form(sent: Mapping[str, str]) -> TopupForm:
    return {
        "pack": sent.get("pack", ""),
        "threshold": sent.get("threshold", ""),
        "limit": sent.get("limit", ""),
        "counts_manual": sent.get("counts_manual") == "1",
    }
