"""Automatic top-up, for the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from creditapp import units
from creditapp.catalog import Catalog, Pack
from creditapp.payments.auto_topup.limits import MonthlyUsage, start_of_next_month
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.services import get


@dataclass(frozen=True)
class TopupForm:
    """Values of the ``topup_form`` component."""

    pack: str
    threshold: str
    limit: str
    counts_manual: bool


@dataclass(frozen=True)
class Topup:
    """The ``topup_state`` component, with the form below it."""

    state: str
    form: TopupForm
    packs: Sequence[Pack]
    catalog: str
    agreement: AutoTopup | None
    taken_minor: int
    full_until: datetime | None
    """When charges resume, if another one would exceed the month's limit."""


def topup(
    row: AutoTopup | None, month: MonthlyUsage | None, sent: Mapping[str, str] | None
) -> Topup:
    """Return the agreement and the form; ``sent`` has the values of a refused form."""
    catalog = get(Catalog)
    is_full = row is not None and month is not None and month.is_exhausted(row)
    return Topup(
        state=_state(row),
        form=_form(row) if sent is None else _sent_form(sent),
        packs=catalog.packs,
        catalog=catalog.digest,
        agreement=row,
        taken_minor=month.charged_minor if month else 0,
        full_until=start_of_next_month(month.at) if month and is_full else None,
    )


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
        return TopupForm(best_value, threshold, limit="", counts_manual=False)
    return TopupForm(
        pack=row.pack_id,
        threshold=str(units.credits_number(row.threshold_micro)),
        limit=str(units.minor_to_decimal(row.limit_minor, row.currency)),
        counts_manual=row.counts_manual,
    )


def _sent_form(sent: Mapping[str, str]) -> TopupForm:
    return TopupForm(
        pack=sent.get("pack", ""),
        threshold=sent.get("threshold", ""),
        limit=sent.get("limit", ""),
        counts_manual=sent.get("counts_manual") == "1",
    )
