"""What a scene draws with: the sheet, its colours, its dice and the wishes behind it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from creditapp.generation.providers.offline_art.canvas import Canvas, Colour, Point, mix
from creditapp.generation.providers.offline_art.palettes import Palette
from creditapp.generation.providers.offline_art.wishes import Wishes

Line = Callable[[float], float]
"""The height of a line across the sheet at a place."""


@dataclass(slots=True)
class Study:
    """One picture in the making."""

    canvas: Canvas
    palette: Palette
    dice: random.Random
    wishes: Wishes
    soft: bool = False
    """Whether light is painted as gradients and glows instead of flat bands."""

    def between(self, low: float, high: float) -> float:
        """Throw a number."""
        return self.dice.uniform(low, high)

    def chance(self, share: float) -> bool:
        """Throw a coin that falls on its head in ``share`` of all throws."""
        return self.dice.random() < share


def waves(study: Study, base: float, height: float, length: float, octaves: int = 3) -> Line:
    """Return a soft line around ``base``: hills, dunes, the edge of a band of sky."""
    parts = []
    for octave in range(octaves):
        parts.append(
            (
                height / 1.9**octave,
                math.tau / length * 2.1**octave * study.between(0.8, 1.25),
                study.between(0, math.tau),
            )
        )
    return lambda x: base + sum(size * math.sin(x * rate + at) for size, rate, at in parts)


def crags(study: Study, base: float, height: float, peaks: int, rough: float = 0.5) -> list[Point]:
    """Return the corners of a mountain range across the sheet, by midpoint displacement."""
    width = study.canvas.w
    corners: list[Point] = []
    step = (width + 200) / peaks
    x, up = -100.0, study.chance(0.5)
    while x < width + 100 + step:
        rise = study.between(0.62, 1.0) if up else study.between(0.0, 0.32)
        corners.append((x, base - height * rise))
        x += step * study.between(0.35, 0.65)
        up = not up
    for level in range(4):
        broken: list[Point] = []
        for one, other in itertools.pairwise(corners):
            share = study.between(0.38, 0.62)
            drift = study.between(-1, 1) * height * 0.16 * rough**level
            middle = (
                one[0] + (other[0] - one[0]) * share,
                one[1] + (other[1] - one[1]) * share + drift,
            )
            broken += [one, middle]
        corners = [*broken, corners[-1]]
    return corners


def height_of(corners: list[Point]) -> Line:
    """Return the line through ``corners``, which go from left to right."""

    def at(x: float) -> float:
        for one, other in itertools.pairwise(corners):
            if one[0] <= x <= other[0] and other[0] > one[0]:
                return one[1] + (other[1] - one[1]) * (x - one[0]) / (other[0] - one[0])
        return corners[0][1] if x < corners[0][0] else corners[-1][1]

    return at


def shade(colour: Colour, palette: Palette, share: float) -> Colour:
    """Return a colour with the picture's own darkness in it."""
    return mix(colour, palette.dark, share)


def light(colour: Colour, palette: Palette, share: float) -> Colour:
    """Return a colour with the picture's own light in it."""
    return mix(colour, palette.halo, share)
