"""The time, as something that a test can hold still and move on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from creditapp.services import get

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The expiry of what does not expire: a date, so that order and comparison need no special case."""


class Clock:
    """The system's clock in UTC."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)


class StoppedClock(Clock):
    """A clock that moves only when it is told to; for tests."""

    def __init__(self, at: datetime) -> None:
        self._now = at

    def now(self) -> datetime:
        """Return the moment at which the clock was stopped."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock on."""
        self._now += by


def now() -> datetime:
    """Return the current app's present moment."""
    return get(Clock).now()
