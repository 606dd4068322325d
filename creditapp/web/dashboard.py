"""Dashboard: balance, plan, spending and transaction history."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from flask import Blueprint, Flask, Response, current_app, make_response
from sqlalchemy.orm import Session

from creditapp import ledger, units
from creditapp.chat.queries import usage_by_day, usage_totals
from creditapp.clock import NEVER, now, rfc3339
from creditapp.db import reading, snapshot, stop_reading
from creditapp.errors import ValidationFailed
from creditapp.generation import queries
from creditapp.http import exports, forms
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import costly
from creditapp.http.rendering import page_or_block, render_page, with_query
from creditapp.http.sessions import require_member
from creditapp.http.viewer import viewer
from creditapp.pagination import page_of
from creditapp.payments.subscriptions import status as plan_status
from creditapp.web import view_models
from creditapp.web.view_models import BalancePart, HistoryLine, Usage, UsageDay

PAGE_SIZE = 25
CSV_PAGE = 500
DAYS = 7
TOKEN_DAYS = 30
TOTALS = 100
"""Conversations and sources of token usage shown."""

FILTERS = {
    "": None,
    "bought": "PURCHASE",
    "given": "CREDIT",
    "spent": "DEBIT",
    "back": "REFUND",
    "expired": "EXPIRY",
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
    session = reading()
    lines = _lines(
        session, current_viewer.wallet_id, type_filter, forms.whole("cursor"), PAGE_SIZE + 1
    )
    page = page_of(lines, PAGE_SIZE, lambda line: line.seq)
    filters = {"type": type_filter}
    return page_or_block(
        "pages/dashboard/index.html",
        "history",
        wallet=view_models.balance(current_viewer, _balance_parts(current_viewer.wallet_id)),
        plan=view_models.plan(plan_status.get_status(reading(), require_member().id)),
        usage=_usage(require_member().id, now().date()),
        lines=_history_lines(session, require_member().id, page.rows),
        filter=type_filter,
        next_url=page.next_cursor
        and with_query("/dashboard", {**filters, "cursor": page.next_cursor}),
        csv_url=with_query("/dashboard/history.csv", filters),
    )


@account.get("/dashboard/tokens")
@policy("user")
def tokens() -> Response:
    """Show what language models have read and written, by source and conversation."""
    since = now() - timedelta(days=TOKEN_DAYS)
    totals = usage_totals(reading(), require_member().id, since=since, limit=TOTALS)
    rows = [view_models.token_usage(total) for total in totals]
    return make_response(render_page("pages/dashboard/tokens.html", rows=rows, days=TOKEN_DAYS))


@account.get("/dashboard/history.csv")
@policy("user")
@costly
def history_csv() -> Response:
    """Send the whole history as CSV, the newest line first, as a stream of pages."""
    member = require_member()
    pages = _csv_pages(member.id, viewer().wallet_id, _type_filter())
    stop_reading()
    return exports.send(pages, "credits.csv", "text/csv", caller=member.id)


def _csv_pages(user_id: str, wallet_id: int | None, type_filter: str) -> Iterator[str]:
    """Return the sheet in pieces; each page is a short read, so that a slow client holds none."""
    # The request's own context ends before its stream does.
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # of werkzeug's proxy
    return _read_pages(app, user_id, wallet_id, type_filter)


def _read_pages(app: Flask, user_id: str, wallet_id: int | None, type_filter: str) -> Iterator[str]:
    yield _csv([["time", "type", "what", "credits", "total after", "id"]])
    cursor: int | None = None
    while True:
        with app.app_context(), snapshot() as session:
            entries = _lines(session, wallet_id, type_filter, cursor, CSV_PAGE)
            lines = _history_lines(session, user_id, entries)
        yield _csv(_csv_cells(line) for line in lines)
        if len(entries) < CSV_PAGE:
            return
        cursor = entries[-1].seq


def _history_lines(
    session: Session, user_id: str, entries: Sequence[ledger.StatementLine]
) -> list[HistoryLine]:
    """Return the entries in words; their prompts take one query together."""
    generation_ids = [found for entry in entries if (found := view_models.generation_of(entry))]
    prompts = queries.prompts_of(session, user_id, generation_ids)
    return [view_models.history_line(entry, prompts) for entry in entries]


def _csv_cells(line: HistoryLine) -> list[str]:
    entry = line.entry
    detail = f": {line.detail}" if line.detail else ""
    return [
        rfc3339(entry.effective_at),
        entry.type,
        _escape_formula(f"{line.title}{detail}"),
        str(units.credits_number(entry.amount_micro)),
        str(units.credits_number(entry.balance_after_micro)),
        entry.id,
    ]


def _csv(rows: Iterable[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
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
    session: Session, wallet_id: int | None, type_filter: str, before: int | None, limit: int
) -> list[ledger.StatementLine]:
    if wallet_id is None:
        return []
    return ledger.statement(
        session.connection(), wallet_id, limit=limit, before_seq=before, type_=FILTERS[type_filter]
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
        BalancePart(_LABELS.get(source, source.capitalize()), source, micro, expires_at)
        for (source, expires_at), micro in merged.items()
    ]


def _usage(user_id: str, today: date) -> Usage:
    """Return the credits spent and images made on each of the last days, in one query."""
    last = datetime.combine(today, time(), UTC)
    days = [last - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    rows = usage_by_day(reading(), user_id, days)
    return Usage(
        [
            UsageDay(day.date(), row.charged_micro, row.delivered)
            for day, row in zip(days, rows, strict=True)
        ],
        total_micro=sum(row.charged_micro for row in rows),
    )
