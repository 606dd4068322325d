"""Budgets of API keys: so much for each day, week or month (UTC), or for all of a key's life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

from creditapp.ledger import Budget

Period = Literal["day", "week", "month", "all"]
PERIODS: Final[tuple[Period, ...]] = get_args(Period)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def budget_of(limit_micro: int | None, period: str, *, now: datetime) -> Budget | None:
    """Return the budget of the period that ``now`` is in; None without a limit."""
    if limit_micro is None:
        return None
    since, resets_at = bounds(period, now=now)
    return Budget(limit_micro=limit_micro, since=since, resets_at=resets_at)


def bounds(period: str, *, now: datetime) -> tuple[datetime, datetime | None]:
    """Return when the period of ``now`` began, and when the next one does."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            return midnight, midnight + timedelta(days=1)
        case "week":
            monday = midnight - timedelta(days=midnight.weekday())
            return monday, monday + timedelta(days=7)
        case "month":
            first = midnight.replace(day=1)
            return first, (first + timedelta(days=32)).replace(day=1)
        case _:
            return _EPOCH, None
