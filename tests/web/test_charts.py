"""Geometry of the charts: every bar is inside its frame and as long as its value."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from creditapp.http.charts import Box, columns, scale_top, segments, shape, share

AMOUNTS = st.lists(st.integers(0, 10**15), min_size=1, max_size=31)


@given(AMOUNTS)
def test_columns_stand_side_by_side_on_the_floor(values: list[int]) -> None:
    bars = columns(values)
    assert all(bar.y + bar.height == 170 and bar.y >= 30 for bar in bars)
    assert all(one.x + one.width < other.x for one, other in pairwise(bars))
    assert bars[0].x >= 30
    assert bars[-1].x + bars[-1].width <= 354
    assert max(bar.height for bar in bars) == (140 if any(values) else 0)


@given(st.integers(0, 10**15))
def test_a_scale_ends_at_a_round_number_with_a_round_half(largest: int) -> None:
    top = scale_top(largest)
    assert max(largest, 1) <= top <= 2 * max(largest, 1)
    assert len(str(top).rstrip("0")) == 1
    assert len(str(top * 10 // 2).rstrip("0")) == 1


def test_bars_are_measured_by_the_scale() -> None:
    assert scale_top(4_500_000) == 6_000_000
    assert [bar.height for bar in columns([4_500_000, 0], top=6_000_000)] == [105, 0]


@given(AMOUNTS)
def test_segments_share_the_bar(values: list[int]) -> None:
    parts = segments(values)
    assert parts[0].x == 0
    assert all(part.x <= 1000 and part.width >= 3 for part in parts)
    for value, part in zip(values, parts, strict=True):
        assert part.width == max(value * 1000 // max(sum(values), 1) - 3, 3)


def test_a_share_is_never_too_small_to_be_seen() -> None:
    assert share(500_000, 2_000_000, 200) == 50
    assert share(1, 10**12, 200) == 2
    assert share(0, 0, 200) == 2


def test_an_image_keeps_its_proportions_in_its_frame() -> None:
    assert shape(1536, 1024) == Box(2, 5, 16, 10)
    assert shape(1024, 1024) == Box(2, 2, 16, 16)
    assert columns([1, 1])[0].middle == 111
