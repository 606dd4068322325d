"""Geometry of what templates draw as SVG: bars, shares of a bar, the shape of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in the units of its SVG, from its left upper corner."""

    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> int:
        """The x of its vertical axis."""
        return self.x + self.width // 2


def scale_top(largest: int) -> int:
    """Return the top of a scale for values up to ``largest``: round, and so is its half."""
    magnitude: int = 10 ** (len(str(max(largest, 1))) - 1)
    return next(step * magnitude for step in (1, 2, 4, 6, 8, 10) if step * magnitude >= largest)


def columns(
    values: Sequence[int],
    *,
    top: int = 0,
    left: int = 30,
    floor: int = 170,
    width: int = 324,
    height: int = 140,
) -> list[Box]:
    """Return a bar for each value on a common floor; ``top``, or the largest, is full height."""
    step = width // max(len(values), 1)
    full = max([*values, top, 1])
    heights = [value * height // full for value in values]
    bar_width = max(step * 3 // 4, 2)
    return [
        Box(
            left + number * step + step // 2 - step * 3 // 8,
            floor - bar_height,
            bar_width,
            bar_height,
        )
        for number, bar_height in enumerate(heights)
    ]


def segments(values: Sequence[int], *, width: int = 1000, gap: int = 3) -> list[Box]:
    """Return the parts of one bar, each as wide as its share of the sum, with gaps between."""
    total = max(sum(values), 1)
    lengths = [value * width // total for value in values]
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    return [
        Box(start, 0, max(length - gap, gap), 0)
        for start, length in zip(starts, lengths, strict=True)
    ]


def share(value: int, whole: int, length: int) -> int:
    """Return how much of a length a value is; at least 2, so that it can be seen."""
    return max(value * length // max(whole, 1), 2)


def shape(width: int, height: int, *, side: int = 16, frame: int = 20) -> Box:
    """Return an image's proportions, centered in a square frame."""
    longest = max(width, height)
    drawn_width, drawn_height = width * side // longest, height * side // longest
    return Box((frame - drawn_width) // 2, (frame - drawn_height) // 2, drawn_width, drawn_height)
