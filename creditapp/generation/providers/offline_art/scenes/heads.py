"""What the heads of animals share; coordinates are in heads, from the middle of the face."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from creditapp.generation.providers.offline_art.canvas import Colour, Point, smooth
from creditapp.generation.providers.offline_art.study import Study

At = Callable[[float, float], Point]


def places(x: float, y: float, size: float) -> At:
    """Return how places in heads become places on the sheet."""
    return lambda px, py: (x + px * size, y + py * size)


def both(points: Sequence[Point]) -> list[list[Point]]:
    """Return a shape and its mirror image."""
    return [list(points), [(-x, y) for x, y in points]]


def whole(half: Sequence[Point]) -> list[Point]:
    """Return an outline from its right half, from the top down."""
    return [*half, *((-x, y) for x, y in reversed(half) if x != 0)]


def shape(
    study: Study, at: At, points: Sequence[Point], colour: Colour, *, round_: bool = True
) -> None:
    """Fill a shape given in heads, rounded unless ``round_`` is off."""
    placed = [at(*point) for point in points]
    study.canvas.poly(smooth(placed) if round_ else placed, colour)


def bust(study: Study, at: At, colour: Colour, wide: float = 0.8) -> None:
    """Draw neck and shoulders."""
    outline = whole([(0, 0.2), (0.42, 0.5), (wide, 1.0), (wide * 1.1, 1.9)])
    study.canvas.cut(smooth([at(*p) for p in outline]), colour, 0.8)


def eyes(study: Study, at: At, x: float, y: float, size: float, iris: Colour) -> None:
    """Draw a pair of eyes with a glint."""
    canvas, unit = study.canvas, at(1, 0)[0] - at(0, 0)[0]
    for side in (-1, 1):
        place = at(side * x, y)
        canvas.oval(place[0], place[1], size * unit, size * unit * 0.92, iris)
        canvas.oval(place[0], place[1], size * unit * 0.52, size * unit * 0.8, study.palette.dark)
        canvas.disc(
            place[0] + size * unit * 0.2,
            place[1] - size * unit * 0.3,
            size * unit * 0.17,
            study.palette.pale,
        )


def nose(study: Study, at: At, y: float, size: float) -> None:
    """Draw a nose and the mouth below it."""
    dark = study.palette.dark
    shape(study, at, [(-size, y - size * 0.5), (size, y - size * 0.5), (0, y + size * 0.7)], dark)
    width = (at(1, 0)[0] - at(0, 0)[0]) * 0.022
    study.canvas.line([at(0, y + size * 0.5), at(0, y + size * 1.3)], width, dark)
    for side in (-1, 1):
        curve = [
            at(0, y + size * 1.3),
            at(side * size * 0.8, y + size * 1.75),
            at(side * size * 1.7, y + size * 1.35),
        ]
        study.canvas.line(curve, width, dark)
