"""Months counted from the anchor, compared with dateutil."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from creditapp.payments.subscriptions import months
from creditapp.payments.subscriptions.months import add_months

ANCHORS = st.datetimes(datetime(2023, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
CYCLES = st.sampled_from((1, 12))


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def from_anchor(anchor: datetime, count: int) -> datetime:
    """Return the moment that many months after the anchor, as dateutil counts it."""
    return anchor + relativedelta(months=count)


@pytest.mark.parametrize(
    ("moment", "count", "then"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2026-01-31", 2, "2026-03-31"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-03-31", -1, "2026-02-28"),
        ("2026-01-01", -1, "2025-12-01"),
    ],
)
def test_months_are_counted_by_the_day(moment: str, count: int, then: str) -> None:
    assert add_months(day(moment), count) == day(then)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(0, 60))
def test_months_follow_each_other_without_gaps(moment: datetime, count: int) -> None:
    here, after = add_months(moment, count), add_months(moment, count + 1)
    assert here < after <= here + timedelta(days=31)
    assert (after.year * 12 + after.month) - (here.year * 12 + here.month) == 1


@pytest.mark.parametrize("first_day", range(1, 32))
@pytest.mark.parametrize("cycle", [1, 12])
def test_every_period_of_five_years_has_its_months(first_day: int, cycle: int) -> None:
    anchor = day(f"2027-12-{first_day:02}")
    for renewal in range(0, 61, cycle):
        bounds = [from_anchor(anchor, renewal + number) for number in range(cycle + 1)]
        counted = months.months_of_period((bounds[0], bounds[-1]), cycle, anchor)
        assert counted == list(pairwise(bounds))


def test_the_second_year_from_a_leap_day_has_its_months_on_the_29th() -> None:
    counted = months.months_of_period((day("2029-02-28"), day("2030-02-28")), 12, day("2028-02-29"))
    assert counted[0] == (day("2029-02-28"), day("2029-03-29"))
    assert counted[-1] == (day("2030-01-29"), day("2030-02-28"))


@given(ANCHORS, st.integers(0, 60), CYCLES, st.integers(1, 14))
def test_credits_are_valid_until_the_end_of_a_month_from_the_anchor(
    anchor: datetime, renewal: int, cycle: int, lasting: int
) -> None:
    first = renewal * cycle
    period = (from_anchor(anchor, first), from_anchor(anchor, first + cycle))
    for number, month in enumerate(months.months_of_period(period, cycle, anchor)):
        ends_at = months.end_of_validity(month, lasting, anchor)
        assert ends_at == from_anchor(anchor, first + number + lasting)


@given(ANCHORS, st.integers(0, 60), st.integers(1, 14))
def test_a_month_alone_shows_its_anchor(anchor: datetime, first: int, lasting: int) -> None:
    """A subscription's anchor has moved when an old invoice is synced late."""
    month = (from_anchor(anchor, first), from_anchor(anchor, first + 1))
    moved = anchor + timedelta(seconds=1)
    for now in (None, moved):
        assert months.months_of_period(month, 1, now) == [month]
        ends_at = months.end_of_validity(month, lasting, now)
        assert ends_at == from_anchor(anchor, first + lasting)


@given(ANCHORS, st.integers(0, 5), CYCLES, st.floats(0.001, 0.999))
def test_the_rest_of_a_period_touches_months_from_the_anchor(
    anchor: datetime, renewal: int, cycle: int, used: float
) -> None:
    bounds = [from_anchor(anchor, renewal * cycle + number) for number in range(cycle + 1)]
    period = (bounds[0] + (bounds[-1] - bounds[0]) * used, bounds[-1])
    touched = months.months_touched(period, (), anchor)
    every = list(pairwise(bounds))
    assert touched == [month for month in every if month[1] > period[0]]
    assert months.months_touched(period, every, None) == touched


def test_a_month_of_an_earlier_anchor_is_not_touched() -> None:
    """A year was begun on 7 November, in a month that began on the 6th."""
    old = (day("2026-11-06"), day("2026-12-06"))
    year = [(from_anchor(day("2026-11-07"), n), from_anchor(day("2026-11-07"), n + 1))
            for n in range(12)]  # fmt: skip
    rest = (day("2026-11-10"), day("2027-11-07"))
    for anchor in (day("2026-11-07"), None):
        assert months.months_touched(rest, [old, *year], anchor) == year
    # What the change to the year credited is of the old month alone, whose anchor has moved.
    credited = (day("2026-11-07"), day("2026-12-06"))
    assert months.months_touched(credited, [old, *year], day("2026-11-07")) == [old]
