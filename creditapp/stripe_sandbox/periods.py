"""Billing periods of subscriptions, counted from an anchor, in UTC.

If a month is shorter than the anchor's day, the period ends on the month's last day; the next one
is again counted from the anchor: 31 January, 28 February, 31 March.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

DAY_SECONDS = 86_400
_SECONDS = {"day": DAY_SECONDS, "week": 7 * DAY_SECONDS}
_MONTHS = {"month": 1, "year": 12}


def add_months(moment: int, months: int) -> int:
    """Return the same day and time ``months`` later, or the last day of a shorter month."""
    start = datetime.fromtimestamp(moment, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def period_end_after(moment: int, anchor: int, interval: str, count: int) -> int:
    """Return the first period end after a moment."""
    if interval in _SECONDS:
        length = _SECONDS[interval] * count
        return anchor + ((moment - anchor) // length + 1) * length
    length = _MONTHS[interval] * count
    first, current = (datetime.fromtimestamp(time, UTC) for time in (anchor, moment))
    months = (current.year - first.year) * 12 + current.month - first.month
    periods = months // length - 1
    while add_months(anchor, periods * length) <= moment:
        periods += 1
    return add_months(anchor, periods * length)
