"""Outbox: events for the packages above, written with their cause and claimed by jobs.

Topics: ``granted``, ``captured``, ``released``, ``refunded``, ``revoked``, ``restored``,
``expired``, ``transferred`` and ``low_balance``. The subject is the wallet's id; the payload has
the rest. A handler runs at least once: after ``LEASE`` a claimed event is offered again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam

from creditapp.db import UtcDateTime
from creditapp.ledger.sql import write

LEASE: Final = timedelta(minutes=5)
"""Time after which a claimed event that is not done is offered again."""

_INSERT: Final = write(
    "INSERT INTO outbox (topic, subject, payload, created_at)"
    " VALUES (:topic, :subject, :payload, :created_at)"
)
# The condition is repeated for a claimer that waited for another's row: it is claimed by then.
_CLAIM: Final = (
    write(
        "UPDATE outbox SET claimed_at = :now WHERE id IN ("
        " SELECT id FROM outbox WHERE topic IN :topics AND done_at IS NULL"
        " AND (claimed_at IS NULL OR claimed_at <= :before) ORDER BY id LIMIT :limit)"
        " AND done_at IS NULL AND (claimed_at IS NULL OR claimed_at <= :before)"
        " RETURNING id, topic, subject, payload, created_at"
    )
    .bindparams(bindparam("topics", expanding=True))
    .columns(created_at=UtcDateTime())
)
_DONE: Final = write(
    "UPDATE outbox SET done_at = :now WHERE id IN :ids AND done_at IS NULL"
).bindparams(bindparam("ids", expanding=True))
_PRUNE: Final = write(
    "DELETE FROM outbox WHERE created_at < :before AND (done_at IS NOT NULL OR topic NOT IN :keep)"
).bindparams(bindparam("keep", expanding=True))


@dataclass(frozen=True)
class Event:
    """One claimed event."""

    id: int
    topic: str
    wallet_id: int
    payload: dict[str, Any]
    created_at: datetime


def event_row(
    topic: str, wallet_id: int, now: datetime, payload: Mapping[str, object]
) -> dict[str, object]:
    """Return the values of an event's row."""
    return {
        "topic": topic,
        "subject": str(wallet_id),
        "payload": json.dumps(payload, separators=(",", ":")),
        "created_at": now,
    }


def insert(connection: Connection, rows: list[dict[str, object]]) -> None:
    """Write events in the transaction of their cause."""
    connection.execute(_INSERT, rows[0] if len(rows) == 1 else rows)


def claim(
    connection: Connection, topics: Sequence[str], limit: int, *, now: datetime
) -> list[Event]:
    """Claim up to ``limit`` waiting events, oldest first; two claimers never get the same one."""
    rows = connection.execute(
        _CLAIM, {"topics": list(topics), "limit": limit, "now": now, "before": now - LEASE}
    ).all()
    return [
        Event(event_id, topic, int(subject), json.loads(payload), created_at)
        for event_id, topic, subject, payload, created_at in sorted(rows)
    ]


def done(connection: Connection, event_ids: Sequence[int], *, now: datetime) -> None:
    """Mark claimed events as done."""
    if event_ids:
        connection.execute(_DONE, {"ids": list(event_ids), "now": now})


def prune(connection: Connection, *, before: datetime, keep: Sequence[str] = ()) -> int:
    """Delete old events that are done or whose topic has no handler (is not in ``keep``)."""
    return connection.execute(_PRUNE, {"before": before, "keep": list(keep)}).rowcount
