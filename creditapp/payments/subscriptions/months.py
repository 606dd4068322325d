"""Months of a subscription, counted from its anchor. Pure functions.

A plan begun on 31 January renews on 28 February and on 31 March. Months are counted from the anchor
and never from one another: a month that begins on the last day of a short month would lose the day.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import datetime

Period = tuple[datetime, datetime]


def add_months(moment: datetime, count: int) -> datetime:
    """Return the same day ``count`` months later, or that month's last day if it is shorter."""
    month = moment.month - 1 + count
    year, month = moment.year + month // 12, month % 12 + 1
    return moment.replace(
        year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1])
    )


def months_of_period(period: Period, count: int, anchor: datetime | None) -> list[Period]:
    """Return the ``count`` months of a whole period; the last one ends with it.

    ``anchor`` is the subscription's, which may have changed after the period: then the months are
    counted from the period's own first or last day.
    """
    base = _anchor_of(period, anchor)
    first = _number(base, period[0])
    if first is None:
        base, first = period[0], 0
    bounds = [add_months(base, first + number) for number in range(count)]
    return list(zip(bounds, [*bounds[1:], period[1]], strict=True))


def months_touched(
    period: Period, earlier_months: Sequence[Period], anchor: datetime | None
) -> list[Period]:
    """Return the whole months that the rest of a period overlaps, back from its end.

    They are counted from the anchor, or where that has changed, follow ``earlier_months``, which
    earlier invoices include. Those may be of two anchors: a year that was begun in the middle of a
    month overlaps that month, which is none of its own.
    """
    base = anchor if anchor and _number(anchor, period[1]) is not None else period[1]
    number = _number(base, period[1]) or 0
    by_end = {} if base is anchor else {month[1]: month for month in earlier_months}
    if period[1] not in by_end:
        by_end = {}
    months: list[Period] = []
    ends_at = period[1]
    while ends_at > period[0]:
        number -= 1
        month = by_end.get(ends_at) if by_end else (add_months(base, number), ends_at)
        if month is None:
            break
        months.insert(0, month)
        ends_at = month[0]
    return months


def end_of_validity(month: Period, lasting_months: int, anchor: datetime | None) -> datetime:
    """Return the end of the last month in which a month's credits can be spent."""
    base = _anchor_of(month, anchor)
    number = _number(base, month[0])
    if number is None:
        return add_months(month[1], lasting_months - 1)
    return add_months(base, number + lasting_months)


def _anchor_of(period: Period, anchor: datetime | None) -> datetime:
    """Return the moment from which the months of a period are counted.

    Without the subscription's anchor it is the bound with the later day: the other one is on the
    last day of a shorter month.
    """
    if anchor and _number(anchor, period[0]) is not None:
        return anchor
    starts_at, ends_at = period
    return ends_at if ends_at.day > starts_at.day else starts_at


def _number(anchor: datetime, moment: datetime) -> int | None:
    """Return how many months after the anchor a moment is, or None if it is between two."""
    count = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    return count if add_months(anchor, count) == moment else None
