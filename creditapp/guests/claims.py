"""Claims of free images: claim, keep, release.

Counts change by guarded statements alone: the database compares and adds while it holds the row,
so that the limit holds however many processes ask at the same moment, under READ COMMITTED too.
Rows are always taken in the order cookie, networks from the smallest, budget, so that no two claims
deadlock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp.db import insert, update_if
from creditapp.errors import AppError
from creditapp.guests.daily_budget import BudgetSpent, NoFreeShard, use_budget
from creditapp.guests.models import GuestBudget, GuestClaim, GuestWindow
from creditapp.guests.visitors import Visitor
from creditapp.units import credits_number

SIGNUP_URL = "/auth/signup"

_CLOSED_SECONDS = 60
"""After how long to try again when the counts could not be read."""

_CLAIMS_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class GuestAllowance:
    """Free images left to a guest; ``reset_at`` is when all are available again, None if unused."""

    limit: int
    remaining: int
    reset_at: datetime | None


class GuestLimitReached(AppError):
    """This visitor has no free images left."""

    status, code, title = 429, "guest_limit_reached", "Your free images are used up"


class GuestBudgetReached(AppError):
    """All guests together have used the free images of the day."""

    status, code, title = 429, "guest_budget_reached", "Today's free images are used up"


class _Exhausted(Exception):
    """A window has nothing left."""


def claim(
    session: Session,
    visitor: Visitor,
    now: datetime,
    *,
    limit: int,
    window_hours: int,
    daily_budget: int,
    generation_id: str | None = None,
    signup_credits_micro: int = 0,
) -> GuestClaim:
    """Claim one free image, or raise ``GuestLimitReached`` or ``GuestBudgetReached``.

    ``limit``, ``window_hours`` and ``daily_budget`` are the catalog's. Never more than ``limit`` in
    a window, however many claims run at the same moment. An error of the
    database refuses as well. A refusal leaves nothing behind in the caller's transaction.
    """
    window = timedelta(hours=window_hours)
    session.flush()  # the caller's own rows: what is wrong with those is not a guest's refusal
    refusal: type[AppError]
    cause: SQLAlchemyError | None = None

    def take(*, wait: bool) -> GuestClaim:
        with session.begin_nested():
            windows = {
                key: _use_window(session, key, now, limit * multiple, window).isoformat()
                for key, multiple in visitor.windows.items()
            }
            day = now.astimezone(UTC).date()
            new_claim = GuestClaim(
                windows=windows,
                budget_day=day,
                budget_shard=use_budget(session, day, daily_budget, wait=wait),
                claimed_at=now,
                state="claimed",
                generation_id=generation_id,
            )
            session.add(new_claim)
        return new_claim

    try:
        try:
            return take(wait=False)
        except NoFreeShard:  # its locks are released with the savepoint
            return take(wait=True)
    except _Exhausted:
        allowance = get_allowance(session, visitor, now, limit=limit, window_hours=window_hours)
        refusal, detail = GuestLimitReached, "You have used your free images."
        # None: a claim was released between the refusal and this query.
        reset_at = allowance.reset_at or now
    except BudgetSpent:
        refusal, detail = GuestBudgetReached, "The free images of all guests are used up for today."
        reset_at = datetime.combine(now.astimezone(UTC).date(), time(), UTC) + timedelta(days=1)
    except SQLAlchemyError as error:
        # Fails closed: without a count, no free image.
        cause = error
        refusal, detail = GuestLimitReached, "Free images cannot be counted right now."
        reset_at = now + timedelta(seconds=_CLOSED_SECONDS)
    raise _refusal(refusal, detail, limit, reset_at, signup_credits_micro, now) from cause


def keep(session: Session, claim_id: str) -> bool:
    """Mark the image as delivered, so that its claim is never released."""
    return _settle(session, claim_id, "kept") is not None


def release(session: Session, claim_id: str) -> bool:
    """Return a claim to the windows and the day it was taken from; a second time does nothing.

    A window that has ended since is left unchanged: it was reset already.
    """
    released = _settle(session, claim_id, "returned")
    if released is None:
        return False
    connection = session.connection()
    for key, started_at in released.windows.items():
        opened_at = datetime.fromisoformat(started_at)
        connection.execute(
            update(GuestWindow)
            .where(GuestWindow.key == key, GuestWindow.started_at == opened_at)
            .where(GuestWindow.used > 0)
            .values(used=GuestWindow.used - 1)
        )
    connection.execute(
        update(GuestBudget)
        .where(GuestBudget.day == released.budget_day, GuestBudget.shard == released.budget_shard)
        .where(GuestBudget.used > 0)
        .values(used=GuestBudget.used - 1)
    )
    return True


def get_allowance(
    session: Session, visitor: Visitor, now: datetime, *, limit: int, window_hours: int
) -> GuestAllowance:
    """Return the visitor's allowance; none is left if the database fails. Reads only."""
    window = timedelta(hours=window_hours)
    query = select(GuestWindow.key, GuestWindow.used, GuestWindow.started_at).where(
        GuestWindow.key.in_(visitor.windows),
        GuestWindow.started_at > now - window,
        GuestWindow.used > 0,
    )
    try:
        open_windows = [
            (max(0, limit * visitor.windows[row.key] - row.used), row.started_at)
            for row in session.execute(query)
        ]
    except SQLAlchemyError:
        return GuestAllowance(limit, 0, now + timedelta(seconds=_CLOSED_SECONDS))
    return _allowance(open_windows, limit, window)


def sweep(session: Session, *, now: datetime, window_hours: int) -> None:
    """Delete ended windows, past days and old claims; for a daily job."""
    ended = now - timedelta(hours=window_hours)
    session.execute(delete(GuestWindow).where(GuestWindow.started_at <= ended))
    oldest = now - _CLAIMS_KEPT
    session.execute(delete(GuestClaim).where(GuestClaim.claimed_at < oldest))
    session.execute(delete(GuestBudget).where(GuestBudget.day < oldest.astimezone(UTC).date()))


def _allowance(
    windows: Sequence[tuple[int, datetime]], limit: int, window: timedelta
) -> GuestAllowance:
    """Return the allowance of ``windows``: how many uses each has left, and when it opened."""
    remaining = min((left for left, _ in windows), default=limit)
    if remaining >= limit:
        return GuestAllowance(limit, limit, None)
    # Of windows with as many left, only the latest end makes all available again.
    reset_at = max(started_at for left, started_at in windows if left <= remaining) + window
    return GuestAllowance(limit, remaining, reset_at)


def _use_window(
    session: Session, key: str, now: datetime, limit: int, window: timedelta
) -> datetime:
    """Count one use, in a new window where the last has ended; return when the window opened."""
    if limit < 1:
        raise _Exhausted
    # A window whose claims were all released counts as none: the next use opens a new one.
    over = or_(GuestWindow.started_at <= now - window, GuestWindow.used == 0)
    started_at = session.execute(
        insert(session, GuestWindow)
        .values(key=key, started_at=now, used=1)
        .on_conflict_do_update(
            index_elements=[GuestWindow.key],
            set_={
                "used": case((over, 1), else_=GuestWindow.used + 1),
                "started_at": case((over, now), else_=GuestWindow.started_at),
            },
            where=or_(over, GuestWindow.used < limit),
        )
        .returning(GuestWindow.started_at)
    ).scalar()
    if started_at is None:
        raise _Exhausted
    return started_at


def _settle(session: Session, claim_id: str, outcome: str) -> GuestClaim | None:
    """Change a claim's state once; return it, or None when it was settled before."""
    claim = session.get(GuestClaim, claim_id)
    if claim is None or not update_if(session, claim, GuestClaim.state == "claimed", state=outcome):
        return None
    return claim


def _refusal(
    kind: type[AppError],
    detail: str,
    limit: int,
    reset_at: datetime,
    signup_micro: int,
    now: datetime,
) -> AppError:
    seconds = max(1, math.ceil((reset_at - now).total_seconds()))
    return kind(
        f"{detail} Try again in {_span(seconds)}, or sign up and go on now.",
        headers={"Retry-After": str(seconds)},
        limit=limit,
        remaining=0,
        resetAt=reset_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        signupUrl=SIGNUP_URL,
        signupCredits=credits_number(signup_micro),
    )


def _span(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"
