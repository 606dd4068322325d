"""Recovery: settle the turns of processes that died, by what they had stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import select

from creditapp.chat.models import UsageRecord
from creditapp.chat.queries import text_of
from creditapp.chat.reader import RENEW_SECONDS
from creditapp.chat.settlement import Ending, settle
from creditapp.chat.usage import stored_usage
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.generation.providers import GenerationFailed
from creditapp.logs import error_fields

BATCH: Final = 200
WATCH_SECONDS: Final = 2 * RENEW_SECONDS
"""How long a lapsed lease is watched: a live reader renews it every second."""
DETAIL: Final = "The server stopped while this was being written."

log = structlog.get_logger(__name__)


def sweep() -> None:
    """Settle each turn whose lease has lapsed and is not renewed: what was stored is charged."""
    for record in _abandoned(_lapsed()):
        try:
            _settle_lapsed(record)
        except Exception as error:
            # One row that cannot be settled must not keep the others from it.
            log.error("not swept", usage=record.id, **error_fields(error))


def _lapsed() -> Sequence[UsageRecord]:
    with snapshot() as session:
        return session.scalars(
            select(UsageRecord)
            .where(UsageRecord.state == "open", UsageRecord.lease_until < now())
            .order_by(UsageRecord.lease_until)
            .limit(BATCH)
        ).all()


def _abandoned(lapsed: Sequence[UsageRecord]) -> list[UsageRecord]:
    """Return those whose lease was not renewed while they were watched: clocks may differ."""
    if not lapsed:
        return []
    time.sleep(WATCH_SECONDS)
    seen = {record.id: record.lease_until for record in lapsed}
    with snapshot() as session:
        rows = session.scalars(select(UsageRecord).where(UsageRecord.id.in_(seen))).all()
    return [row for row in rows if row.state == "open" and row.lease_until == seen[row.id]]


def _settle_lapsed(record: UsageRecord) -> None:
    with snapshot() as session:
        text = text_of(session, record)
    if record.stop_requested_at is not None:
        ending = Ending("stopped", text, stored_usage(record))
    else:
        ending = Ending("failed", text, stored_usage(record), GenerationFailed(DETAIL))
    is_unchanged = UsageRecord.lease_until == record.lease_until
    settle(record.id, ending, now=now(), conditions=(is_unchanged,))
