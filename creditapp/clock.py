"""The clock, which tests can stop and move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from creditapp.services import get

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The expiry of grants without one: a date, so that sorting needs no special case."""


class Clock:
    """The system's clock in UTC."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)


class StoppedClock(Clock):
    """A clock that moves only by ``advance``; for tests."""

    def __init__(self, at: datetime) -> None:
        self._now = at

    def now(self) -> datetime:
        """Return the time at which the clock was stopped."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock on."""
        self._now += by


def now() -> datetime:
    """Return the time of the current app's clock."""
    return get(Clock).now()


def rfc3339(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
