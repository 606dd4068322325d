"""The automatic top-up, as its part of the settings shows it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from creditapp import units
from creditapp.catalog import Catalog
from creditapp.payments.auto_topup.limits import MonthlyUsage, start_of_next_month
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.services import get
from creditapp.web.view_models.view_model import ViewModel


def topup(
    row: AutoTopup | None, month: MonthlyUsage | None, sent: Mapping[str, str] | None
) -> ViewModel:
    """Return what is agreed and the form; ``sent`` are the values of a form that was refused."""
    catalog = get(Catalog)
    shape: ViewModel = {
        "state": _state(row),
        "form": _form(row) if sent is None else _kept(sent),
        "packs": [
            {
                "id": pack.id,
                "name": pack.name,
                "credits_micro": pack.credits_micro,
                "price_minor": pack.price_minor,
                "currency": pack.currency,
            }
            for pack in catalog.packs
        ],
        "catalog": catalog.digest,
    }
    if row is None or month is None:
        return shape
    begins = start_of_next_month(month.at)
    return shape | {
        "card": row.card if row.card_id else "",
        "price_minor": row.price_minor,
        "currency": row.currency,
        "credits_micro": row.credits_micro,
        "threshold_micro": row.threshold_micro,
        "limit_minor": row.limit_minor,
        "taken_minor": month.charged_minor,
        "counts_manual": row.counts_manual,
        "agreed_at": row.consented_at,
        "full_until": f"{begins.day} {begins:%b %Y}" if month.is_exhausted(row) else None,
    }


def _state(row: AutoTopup | None) -> str:
    if row is None:
        return "never"
    if row.stopped_at is not None:
        return row.stopped_reason or "member"
    return "on" if row.on else "card"


def _form(row: AutoTopup | None) -> ViewModel:
    catalog = get(Catalog)
    if row is None:
        chosen = next((pack.id for pack in catalog.packs if pack.best_value), "")
        threshold = str(units.credits_number(catalog.low_balance_micro))
        return {"pack": chosen, "threshold": threshold, "limit": "", "counts_manual": False}
    digits = units.minor_digits(row.currency)
    return {
        "pack": row.pack_id,
        "threshold": str(units.credits_number(row.threshold_micro)),
        "limit": str(Decimal(row.limit_minor).scaleb(-digits)),
        "counts_manual": row.counts_manual,
    }


def _kept(sent: Mapping[str, str]) -> ViewModel:
    return {
        "pack": sent.get("pack", ""),
        "threshold": sent.get("threshold", ""),
        "limit": sent.get("limit", ""),
        "counts_manual": sent.get("counts_manual") == "1",
    }
