"""Rows that are synced with Stripe: claimed by their version, and swept when a sync is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Integer, Select, select
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from creditapp import clock, db
from creditapp.db import UtcDateTime, snapshot, transaction, update_if
from creditapp.errors import AppError, Conflict
from creditapp.logs import error_fields
from creditapp.payments.stripe.records import GatewayError

SWEEP_MAX = 50
RACES_MAX = 8

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Synced(db.Model):
    """A row that repeats a state at Stripe.

    ``version`` increases with every change, so that of two concurrent syncs only one posts.
    """

    __abstract__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    next_sync_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the sweep syncs it, if no event arrives; 9999-12-31 once nothing is open."""


def claim_version(session: Session, row: Synced, **columns: object) -> bool:
    """Lock the row and set ``columns``, unless it changed since it was read; return whether."""
    version = row.version
    return update_if(session, row, type(row).version == version, version=version + 1, **columns)


def until_claimed(sync_once: Callable[[], T | None]) -> T:
    """Sync until no other sync changed the row meanwhile; raise ``Conflict`` after many races."""
    for _ in range(RACES_MAX):
        row = sync_once()
        if row is not None:
            return row
    raise Conflict("This payment is being worked on. Try again in a moment.")


def sync_due(model: type[Synced], sync: Callable[[str], object], retry_after: timedelta) -> None:
    """Sync each row that is due.

    Its next sync is postponed first, so that neither a rival nor a failure repeats this one.
    """
    for row in find_due(select(model), model.next_sync_at):
        is_due = model.next_sync_at == row.next_sync_at
        with transaction() as session:
            is_claimed = update_if(session, row, is_due, next_sync_at=clock.now() + retry_after)
        if is_claimed:
            run_each([row.id], sync, "sync failed")


def find_due(query: Select[T], due_at: InstrumentedAttribute[datetime]) -> list[T]:
    """Return what the query selects of rows that are due by now, the oldest first."""
    query = query.where(due_at <= clock.now()).order_by(due_at).limit(SWEEP_MAX)
    with snapshot() as session:
        return list(session.scalars(query))


def run_each(ids: Iterable[str], action: Callable[[str], object], failure: str) -> None:
    """Call ``action`` with each id and log failures: one that fails must not delay the others."""
    for row_id in ids:
        try:
            action(row_id)
        except (AppError, GatewayError) as error:
            log.warning(failure, id=row_id, **error_fields(error))
        except Exception as error:
            log.error(failure, id=row_id, **error_fields(error))
