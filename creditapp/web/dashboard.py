"""The dashboard: what there is, when it ends, where it went."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from sqlalchemy import select

from creditapp import ledger, units
from creditapp.clock import NEVER, now
from creditapp.db import reading
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.http.json_provider import rfc3339
from creditapp.http.policies import policy
from creditapp.http.rendering import page_or_block
from creditapp.http.sessions import require_member
from creditapp.http.viewer import viewer
from creditapp.ledger import Grant
from creditapp.payments.subscriptions import status as plan_status
from creditapp.web import view_models

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
    "free": "Address credits",
    "purchase": "Pack credits",
    "subscription": "Plan credits",
    "refund": "Given back",
    "promotion": "Promotion",
    "admin": "From support",
}

account = Blueprint("account", __name__)


@account.get("/dashboard")
@policy("user")
def dashboard() -> Response:
    """Show balance, what expires, a week of spending, and the history."""
    looks, chosen = viewer(), _filter()
    lines = _lines(looks.wallet_id, chosen, _cursor(), PAGE_SIZE + 1)
    shown, more = lines[:PAGE_SIZE], len(lines) > PAGE_SIZE
    next_url = None
    if more:
        query = {"type": chosen, "cursor": shown[-1].seq}
        next_url = f"/dashboard?{urlencode({k: v for k, v in query.items() if v})}"
    return page_or_block(
        "pages/dashboard/index.html",
        "history",
        wallet=view_models.purse(looks, _parts(looks.wallet_id)),
        plan=view_models.plan(plan_status.get_status(reading(), require_member().id)),
        usage=_usage(require_member().id),
        lines=[view_models.line(each) for each in shown],
        filter=chosen,
        next_url=next_url,
        csv_url="/dashboard/history.csv" + (f"?type={chosen}" if chosen else ""),
    )


@account.get("/dashboard/history.csv")
@policy("user")
def history_csv() -> Response:
    """Send the whole history as CSV, oldest line last."""
    wallet_id, chosen = viewer().wallet_id, _filter()
    rows = list(_csv_rows(wallet_id, chosen))
    response = Response("".join(rows), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="credits.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _csv_rows(wallet_id: int | None, chosen: str) -> Iterator[str]:
    yield _csv_row(["time", "type", "what", "credits", "total after", "id"])
    before: int | None = None
    while True:
        page = _lines(wallet_id, chosen, before, CSV_PAGE)
        for entry in page:
            shape = view_models.line(entry)
            detail = f": {shape['detail']}" if shape["detail"] else ""
            yield _csv_row(
                [
                    rfc3339(entry.effective_at),
                    entry.type,
                    _harmless(f"{shape['title']}{detail}"),
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


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running a cell as a formula (OWASP: CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _filter() -> str:
    chosen = request.args.get("type", "")
    if chosen not in FILTERS:
        raise ValidationFailed.of("type", f"Choose one of {', '.join(filter(None, FILTERS))}.")
    return chosen


def _cursor() -> int | None:
    text = request.args.get("cursor", "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _lines(
    wallet_id: int | None, chosen: str, before: int | None, limit: int
) -> list[ledger.StatementLine]:
    if wallet_id is None:
        return []
    return ledger.statement(
        reading().connection(),
        wallet_id,
        now=now(),
        limit=limit,
        before_seq=before,
        types=FILTERS[chosen],
    )


def _parts(wallet_id: int | None) -> list[dict[str, Any]]:
    """Return what the balance is made of, in the order in which it is spent."""
    if wallet_id is None:
        return []
    merged: dict[tuple[str, datetime | None], int] = {}
    for grant in ledger.list_grants(reading().connection(), wallet_id):
        if grant.frozen_at is None and grant.expires_at > now():
            key = (grant.source, _end(grant))
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


def _end(grant: Grant) -> datetime | None:
    return None if grant.expires_at >= NEVER else grant.expires_at


def _usage(user_id: str) -> dict[str, Any]:
    """Return what was spent and made on each of the last days, in one query."""
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
    spent: dict[date, int] = {}
    made: dict[date, int] = {}
    for finished_at, charged_micro, delivered in rows:
        if finished_at is not None:
            day = finished_at.date()
            spent[day] = spent.get(day, 0) + charged_micro
            made[day] = made.get(day, 0) + delivered
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return {
        "days": [
            {
                "date": day,
                "spent_micro": spent.get(day, 0),
                "made": _images(made.get(day, 0)),
            }
            for day in days
        ],
        "total_micro": sum(spent.values()),
    }


def _images(count: int) -> str:
    if count == 0:
        return "nothing"
    return f"{count} image" if count == 1 else f"{count} images"
