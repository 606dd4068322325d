"""What stands in a room: an armchair, a lamp, a table with books, plants, and perhaps a cat."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art.canvas import (
    Colour,
    Point,
    mix,
    open_curve,
    path,
    smooth,
)
from creditapp.generation.providers.offline_art.scenes.creatures import leaf
from creditapp.generation.providers.offline_art.study import Study, light, shade


def armchair(study: Study, x: float, foot: float, unit: float) -> None:
    """Draw an armchair with a cushion and an open book."""
    canvas, palette = study.canvas, study.palette
    cloth = palette.accent if not study.chance(0.4) else mix(palette.water, palette.ripple, 0.3)
    dark, bright = shade(cloth, palette, 0.3), light(cloth, palette, 0.14)

    def at(px: float, py: float) -> Point:
        return (x + px * unit, foot + py * unit)

    for leg in (-0.62, 0.62):
        canvas.line([at(leg * 0.92, -0.2), at(leg, 0.0)], unit * 0.06, palette.dark)
    back = smooth(
        [
            at(*p)
            for p in path("-0.52,-0.4 -0.62,-1.1 -0.46,-1.42 0,-1.5 0.46,-1.42 0.62,-1.1 0.52,-0.4")
        ]
    )
    canvas.cut(back, cloth, 0.8)
    for px in (-0.24, 0, 0.24):
        for py in (-1.2, -0.98):
            canvas.disc(*at(px + (0.12 if py > -1.1 else 0), py), unit * 0.022, dark)
    canvas.cut(
        smooth([at(*p) for p in path("-0.5,-0.6 0,-0.68 0.5,-0.6 0.54,-0.42 0,-0.36 -0.54,-0.42")]),
        bright,
        0.4,
    )
    canvas.poly([at(-0.6, -0.46), at(0.6, -0.46), at(0.58, -0.14), at(-0.58, -0.14)], dark)
    for side in (-1, 1):
        arm = smooth(
            [
                at(side * px, py)
                for px, py in path(
                    "0.44,-0.14 0.46,-0.74 0.58,-0.88 0.76,-0.84 0.78,-0.5 0.74,-0.14"
                )
            ]
        )
        canvas.cut(arm, cloth, 0.5)
    canvas.poly(
        smooth([at(*p) for p in path("-0.3,-0.62 0.02,-0.7 0.1,-1.02 -0.26,-0.98")]),
        palette.second,
    )
    book = [at(0.1, -0.58), at(0.4, -0.64), at(0.46, -0.54), at(0.16, -0.48)]
    canvas.poly(book, palette.pale)


def lamp(study: Study, x: float, foot: float, unit: float, side: int) -> None:
    """Draw a standing lamp and its light."""
    canvas, palette = study.canvas, study.palette
    top = foot - unit * 2.0
    canvas.glow(x - side * unit * 0.1, top + unit * 0.2, unit * 1.3, palette.glow, 0.5)
    canvas.line([(x, foot), (x, top)], unit * 0.035, palette.dark)
    canvas.oval(x, foot, unit * 0.2, unit * 0.04, palette.dark)
    shade_shape = [
        (x - unit * 0.18, top - unit * 0.16),
        (x + unit * 0.18, top - unit * 0.16),
        (x + unit * 0.34, top + unit * 0.2),
        (x - unit * 0.34, top + unit * 0.2),
    ]
    canvas.poly(shade_shape, palette.glow)
    canvas.plain(
        [
            (x + unit * 0.06, top - unit * 0.16),
            (x + unit * 0.18, top - unit * 0.16),
            (x + unit * 0.34, top + unit * 0.2),
            (x + unit * 0.14, top + unit * 0.2),
        ],
        mix(palette.glow, palette.accent, 0.18),
    )


def side_table(study: Study, x: float, foot: float, unit: float) -> None:
    """Draw a small table with books and a cup."""
    canvas, palette = study.canvas, study.palette
    wood = mix(palette.second, palette.dark, 0.35)
    top = foot - unit * 1.1
    for leg in (-0.5, 0.5):
        canvas.line([(x + leg * unit * 0.7, top), (x + leg * unit, foot)], unit * 0.08, wood)
    canvas.oval(x, top, unit * 0.72, unit * 0.13, wood)
    colours = (palette.accent, palette.water, palette.pale)
    for number, colour in enumerate(colours):
        y = top - unit * (0.06 + number * 0.12)
        wide = unit * (0.4 - number * 0.04)
        canvas.rect(x - wide, y - unit * 0.11, x + wide * 0.8, y, colour)
    cup(study, x + unit * 0.42, top - unit * 0.02, unit * 0.2)


def cup(study: Study, x: float, foot: float, size: float) -> None:
    """Draw a steaming cup that stands on ``foot``."""
    canvas, palette = study.canvas, study.palette
    canvas.oval(x + size * 0.8, foot - size * 0.5, size * 0.34, size * 0.32, palette.pale)
    canvas.oval(
        x + size * 0.8,
        foot - size * 0.5,
        size * 0.19,
        size * 0.18,
        mix(palette.mid, palette.near, 0.3),
    )
    canvas.poly(
        smooth(
            [
                (x - size * 0.72, foot - size),
                (x + size * 0.72, foot - size),
                (x + size * 0.58, foot - size * 0.24),
                (x + size * 0.3, foot),
                (x - size * 0.3, foot),
                (x - size * 0.58, foot - size * 0.24),
            ],
            6,
        ),
        palette.pale,
    )
    canvas.oval(
        x, foot - size * 0.98, size * 0.7, size * 0.16, mix(palette.dark, palette.accent, 0.3)
    )
    for shift in (-0.24, 0.16):
        canvas.line(
            open_curve(
                [
                    (x + shift * size, foot - size * 1.2),
                    (x + (shift + 0.16) * size, foot - size * 1.6),
                    (x + (shift - 0.08) * size, foot - size * 2.0),
                    (x + (shift + 0.1) * size, foot - size * 2.4),
                ],
                6,
            ),
            size * 0.08,
            mix(palette.pale, palette.horizon, 0.4),
        )


def pot(study: Study, x: float, foot: float, unit: float, kind: str) -> None:
    """Draw a potted ``palm``, ``monstera`` or ``grass``."""
    canvas, palette = study.canvas, study.palette
    greens = (
        palette.near,
        mix(palette.near, palette.water, 0.5),
        mix(palette.mid, palette.water, 0.6),
        light(palette.near, palette, 0.15),
    )
    rim = foot - unit * 0.5
    count, grow = {"palm": (9, _frond), "monstera": (8, _monstera), "grass": (13, _grass)}[kind]
    for number in range(count):
        turn = (number / (count - 1) - 0.5) * (2.5 if kind != "grass" else 1.7)
        long = unit * study.between(0.85, 1.35)
        grow(study, (x, rim), turn, long, unit, study.dice.choice(greens))
    clay = mix(palette.accent, palette.second, 0.3) if study.chance(0.6) else palette.pale
    half, narrow = unit * 0.3, unit * 0.22
    canvas.cut(
        [(x - half, rim), (x + half, rim), (x + narrow, foot), (x - narrow, foot)], clay, 0.5
    )
    canvas.plain(
        [(x + unit * 0.1, rim), (x + half, rim), (x + narrow, foot), (x + unit * 0.08, foot)],
        shade(clay, palette, 0.16),
    )
    lip = unit * 0.34
    canvas.rect(x - lip, rim - unit * 0.07, x + lip, rim + unit * 0.05, shade(clay, palette, 0.08))


def _frond(study: Study, root: Point, turn: float, long: float, unit: float, green: Colour) -> None:
    x, rim = root
    middle = (x + math.sin(turn) * long * 0.4, rim - long * 0.75)
    tip = (x + math.sin(turn) * long, rim - math.cos(turn) * long * 1.05)
    bend = open_curve([(x, rim), middle, tip], 9)
    study.canvas.line(bend, unit * 0.02, green)
    for index in range(6, len(bend) - 1, 2):
        px, py = bend[index]
        reach = unit * 0.26 * (1.15 - index / len(bend))
        for side in (-0.8, 0.8):
            end = (px + math.sin(turn + side) * reach, py - math.cos(turn + side) * reach)
            leaf(study.canvas, (px, py), end, unit * 0.03, green, study.palette.ripple)


def _monstera(
    study: Study, root: Point, turn: float, long: float, unit: float, green: Colour
) -> None:
    x, rim = root
    stem = (x + math.sin(turn) * long * 0.55, rim - math.cos(turn) * long * 0.6)
    middle = ((x + stem[0]) / 2, (rim + stem[1]) / 2 - 10)
    study.canvas.line(open_curve([(x, rim + 6), middle, stem], 6), unit * 0.025, green)
    tip = (
        stem[0] + math.sin(turn * 1.4) * unit * 0.5,
        stem[1] - math.cos(turn * 1.4) * unit * 0.45,
    )
    leaf(study.canvas, stem, tip, unit * 0.19, green, study.palette.ripple)


def _grass(study: Study, root: Point, turn: float, long: float, unit: float, green: Colour) -> None:
    x, rim = root
    start = (x + math.sin(turn) * unit * 0.1, rim + 6)
    tip = (x + math.sin(turn) * long, rim - math.cos(turn) * long * 1.05)
    leaf(study.canvas, start, tip, unit * 0.06, green, study.palette.ripple)


def hanging(study: Study, x: float, unit: float) -> None:
    """Draw a plant that hangs from the ceiling."""
    canvas, palette = study.canvas, study.palette
    y = unit * 0.95
    for side in (-1, 1):
        canvas.line([(x, -9), (x + side * unit * 0.24, y)], 2.5, palette.dark)
    for number in range(11):
        a = (number / 10 - 0.5) * 3.6
        long = unit * study.between(0.4, 0.85)
        points = open_curve(
            [
                (x + math.sin(a) * unit * 0.1, y),
                (x + math.sin(a) * unit * 0.36, y - unit * 0.1),
                (x + math.sin(a) * unit * 0.5, y + long),
            ],
            7,
        )
        colour = study.dice.choice((palette.near, mix(palette.near, palette.water, 0.5)))
        canvas.line(points, 3, colour)
        for px, py in points[5::3]:
            canvas.oval(px, py, unit * 0.05, unit * 0.085, colour)
    canvas.poly(
        smooth(
            [
                (x - unit * 0.27, y),
                (x + unit * 0.27, y),
                (x + unit * 0.18, y + unit * 0.28),
                (x - unit * 0.18, y + unit * 0.28),
            ],
            6,
        ),
        palette.second,
    )


def sleeping_cat(study: Study, x: float, foot: float, unit: float) -> None:
    """Draw a cat asleep."""
    canvas, palette = study.canvas, study.palette
    coat = palette.dark
    canvas.oval(x, foot - unit * 0.3, unit * 0.62, unit * 0.32, coat)
    canvas.disc(x + unit * 0.5, foot - unit * 0.26, unit * 0.24, coat)
    for shift in (0.36, 0.6):
        canvas.poly(
            [
                (x + unit * (shift - 0.08), foot - unit * 0.42),
                (x + unit * shift, foot - unit * 0.64),
                (x + unit * (shift + 0.1), foot - unit * 0.4),
            ],
            coat,
        )
    canvas.line(
        open_curve(
            [
                (x - unit * 0.5, foot - unit * 0.16),
                (x - unit * 0.2, foot),
                (x + unit * 0.36, foot - unit * 0.04),
            ],
            7,
        ),
        unit * 0.12,
        coat,
    )
