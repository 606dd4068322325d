"""The calendar of subscriptions: periods counted from an anchor, in UTC.

A month that lacks the anchor's day ends on its last day, and the next one is counted from the
anchor again: 31 January, 28 February, 31 March.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

DAY_SECONDS = 86_400
_SECONDS = {"day": DAY_SECONDS, "week": 7 * DAY_SECONDS}
_MONTHS = {"month": 1, "year": 12}


def months_on(moment: int, months: int) -> int:
    """Return the same day and time so many months later, or the last day of a shorter month."""
    begun = datetime.fromtimestamp(moment, UTC)
    year, month = divmod(begun.year * 12 + begun.month - 1 + months, 12)
    day = min(begun.day, calendar.monthrange(year, month + 1)[1])
    return int(begun.replace(year=year, month=month + 1, day=day).timestamp())


def boundary_after(moment: int, anchor: int, interval: str, count: int) -> int:
    """Return the first end of a period that lies after a moment."""
    if interval in _SECONDS:
        length = _SECONDS[interval] * count
        return anchor + ((moment - anchor) // length + 1) * length
    length = _MONTHS[interval] * count
    here, there = (datetime.fromtimestamp(each, UTC) for each in (anchor, moment))
    months = (there.year - here.year) * 12 + there.month - here.month
    periods = months // length - 1
    while months_on(anchor, periods * length) <= moment:
        periods += 1
    return months_on(anchor, periods * length)
