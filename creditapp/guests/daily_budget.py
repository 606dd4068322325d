"""The day's budget of free images over all guests, on several rows."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ColumnElement, Update, case, func, select, update
from sqlalchemy.orm import Session

from creditapp.db import insert_once
from creditapp.guests.models import GuestBudget

BUDGET_SHARDS = 8
"""How many rows share a day's budget, so that guests do not wait for one another's commits."""


class BudgetSpent(Exception):
    """The day has nothing left."""


class NoFreeShard(Exception):
    """Other requests hold every row of the day that has something left."""


def use_budget(session: Session, day: date, budget: int, *, wait: bool) -> int:
    """Count one use on one of the day's rows, and return which.

    One row would be locked from here to the commit of every guest's request. Of several, whichever
    no other request holds is taken; only near the end of the day's budget do requests wait. Raises
    ``BudgetSpent``, or ``NoFreeShard`` unless it may wait.
    """
    for attempt in range(2 + BUDGET_SHARDS):
        shard = (_wait_for_shard if wait else _use_free_shard)(session, day, budget)
        if shard is not None:
            return shard
        if attempt == 0:
            _open_day(session, day)
        if _first_shard(session, day, budget) is None:
            raise BudgetSpent
        if attempt and not wait:
            raise NoFreeShard
    raise BudgetSpent


def _use_free_shard(session: Session, day: date, budget: int) -> int | None:
    """Count one use on a row that no other request holds.

    A row that was used up at this moment stays locked though it is not counted on: the caller must
    roll back before it waits for another row, or two guests wait for each other.
    """
    free = (
        select(GuestBudget.shard)
        .where(GuestBudget.day == day, _has_left(budget))
        .order_by(func.random())
        .limit(1)
        # SQLite has one writer and leaves this out.
        .with_for_update(skip_locked=True)
    )
    taken: int | None = session.connection().scalar(
        _one_more(day, budget)
        .where(GuestBudget.shard == free.scalar_subquery())
        .returning(GuestBudget.shard)
    )
    return taken


def _wait_for_shard(session: Session, day: date, budget: int) -> int | None:
    """Count one use on the first row with something left, when its lock is free.

    PostgreSQL keeps a row locked that is found used up after the wait: the savepoint releases it.
    """
    shard = _first_shard(session, day, budget)
    counting = _one_more(day, budget).where(GuestBudget.shard == shard)
    savepoint = session.begin_nested()
    taken: int | None = session.connection().scalar(counting.returning(GuestBudget.shard))
    if taken is None:
        savepoint.rollback()
    else:
        savepoint.commit()
    return taken


def _first_shard(session: Session, day: date, budget: int) -> int | None:
    left = select(func.min(GuestBudget.shard)).where(GuestBudget.day == day, _has_left(budget))
    return session.connection().scalar(left)


def _one_more(day: date, budget: int) -> Update:
    return (
        update(GuestBudget)
        .where(GuestBudget.day == day, _has_left(budget))
        .values(used=GuestBudget.used + 1)
    )


def _has_left(budget: int) -> ColumnElement[bool]:
    share, rest = divmod(max(budget, 0), BUDGET_SHARDS)
    return GuestBudget.used < share + case((GuestBudget.shard < rest, 1), else_=0)


def _open_day(session: Session, day: date) -> None:
    if session.get(GuestBudget, (day, 0)) is None:
        for shard in range(BUDGET_SHARDS):
            insert_once(session, GuestBudget(day=day, shard=shard, used=0))
