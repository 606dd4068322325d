"""Dashboard: balance, plan, spending and transaction history."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response
from sqlalchemy import select

from creditapp import ledger, units
from creditapp.clock import NEVER, now
from creditapp.db import reading
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.http import forms
from creditapp.http.json_provider import rfc3339
from creditapp.http.policies import policy
from creditapp.http.rendering import page_or_block
from creditapp.http.sessions import require_member
from creditapp.http.viewer import viewer
from creditapp.payments.subscriptions import status as plan_status
from creditapp.web import view_models
from creditapp.web.view_models import BalancePart

PAGE_SIZE = 25
CSV_PAGE = 500
DAYS = 7

FILTERS = {
    "": None,
    "bought": ["PURCHASE"],
    "given": ["CREDIT"],
    "spent": ["DEBIT"],
    "back": ["REFUND"],
    "expired": ["EXPIRY"],
}
_LABELS = {
    "welcome": "Welcome credits",
    "free": "Confirmation credits",
    "purchase": "Pack credits",
    "subscription": "Plan credits",
    "refund": "Returned credits",
    "promotion": "Promotion",
    "admin": "From support",
}

account = Blueprint("account", __name__)


@account.get("/dashboard")
@policy("user")
def dashboard() -> Response:
    """Show the balance and what expires, a week of spending, and the history."""
    current_viewer, type_filter = viewer(), _type_filter()
    lines = _lines(current_viewer.wallet_id, type_filter, forms.whole("cursor"), PAGE_SIZE + 1)
    shown, more = lines[:PAGE_SIZE], len(lines) > PAGE_SIZE
    next_url = None
    if more:
        query = {"type": type_filter, "cursor": shown[-1].seq}
        next_url = (
            f"/dashboard?{urlencode({name: value for name, value in query.items() if value})}"
        )
    return page_or_block(
        "pages/dashboard/index.html",
        "history",
        wallet=view_models.balance(current_viewer, _balance_parts(current_viewer.wallet_id)),
        plan=view_models.plan(plan_status.get_status(reading(), require_member().id)),
        usage=_usage(require_member().id),
        lines=[view_models.history_line(line) for line in shown],
        filter=type_filter,
        next_url=next_url,
        csv_url="/dashboard/history.csv" + (f"?type={type_filter}" if type_filter else ""),
    )


@account.get("/dashboard/history.csv")
@policy("user")
def history_csv() -> Response:
    """Send the whole history as CSV, the newest line first."""
    rows = list(_csv_rows(viewer().wallet_id, _type_filter()))
    response = Response("".join(rows), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="credits.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _csv_rows(wallet_id: int | None, type_filter: str) -> Iterator[str]:
    yield _csv_row(["time", "type", "what", "credits", "total after", "id"])
    before: int | None = None
    while True:
        page = _lines(wallet_id, type_filter, before, CSV_PAGE)
        for entry in page:
            line = view_models.history_line(entry)
            detail = f": {line['detail']}" if line["detail"] else ""
            yield _csv_row(
                [
                    rfc3339(entry.effective_at),
                    entry.type,
                    _escape_formula(f"{line['title']}{detail}"),
                    str(units.credits_number(entry.amount_micro)),
                    str(units.credits_number(entry.balance_after_micro)),
                    entry.id,
                ]
            )
        if len(page) < CSV_PAGE:
            return
        before = page[-1].seq


def _csv_row(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _escape_formula(text: str) -> str:
    """Keep a spreadsheet from running a cell as a formula (OWASP: CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _type_filter() -> str:
    type_filter = forms.text("type")
    if type_filter not in FILTERS:
        raise ValidationFailed.of("type", f"Choose one of {', '.join(filter(None, FILTERS))}.")
    return type_filter


def _lines(
    wallet_id: int | None, type_filter: str, before: int | None, limit: int
) -> list[ledger.StatementLine]:
    if wallet_id is None:
        return []
    return ledger.statement(
        reading().connection(),
        wallet_id,
        now=now(),
        limit=limit,
        before_seq=before,
        types=FILTERS[type_filter],
    )


def _balance_parts(wallet_id: int | None) -> list[BalancePart]:
    """Return the grants of a balance by source and expiry, in the order they are spent."""
    if wallet_id is None:
        return []
    merged: dict[tuple[str, datetime | None], int] = {}
    for grant in ledger.list_grants(reading().connection(), wallet_id):
        if grant.frozen_at is None and grant.expires_at > now():
            expires_at = None if grant.expires_at >= NEVER else grant.expires_at
            key = (grant.source, expires_at)
            merged[key] = merged.get(key, 0) + grant.remaining_micro
    return [
        {
            "label": _LABELS.get(source, source.capitalize()),
            "source": source,
            "micro": micro,
            "expires_at": expires_at,
        }
        for (source, expires_at), micro in merged.items()
    ]


def _usage(user_id: str) -> dict[str, Any]:
    """Return the credits spent and images made on each of the last days, in one query."""
    today = now().date()
    first = today - timedelta(days=DAYS - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    rows = reading().execute(
        select(Generation.finished_at, Generation.charged_micro, Generation.delivered).where(
            Generation.owner_kind == "user",
            Generation.owner_id == user_id,
            Generation.finished_at >= since,
            Generation.state == "succeeded",
        )
    )
    spent_micro: dict[date, int] = {}
    images: dict[date, int] = {}
    for finished_at, charged_micro, delivered in rows:
        if finished_at is not None:
            day = finished_at.date()
            spent_micro[day] = spent_micro.get(day, 0) + charged_micro
            images[day] = images.get(day, 0) + delivered
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return {
        "days": [
            {
                "date": day,
                "spent_micro": spent_micro.get(day, 0),
                "made": _images(images.get(day, 0)),
            }
            for day in days
        ],
        "total_micro": sum(spent_micro.values()),
    }


def _images(count: int) -> str:
    if count == 0:
        return "nothing"
    return f"{count} image" if count == 1 else f"{count} images"
