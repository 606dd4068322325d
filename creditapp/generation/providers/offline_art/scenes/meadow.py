"""A meadow in bloom, seen from the height of a bee."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, mix, open_curve
from creditapp.generation.providers.offline_art.study import Study, light, shade, waves


def flowers(study: Study) -> None:
    """A meadow in bloom: hills behind, rows of flowers that grow towards us."""
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * study.between(0.42, 0.52)
    x, radius = canvas.w * study.between(0.25, 0.75), study.between(80, 120)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon)
    elements.sun(study, x, horizon * study.between(0.5, 0.85), radius)
    elements.clouds(study, horizon * 0.2, horizon * 0.6, 3)
    for share in (0.0, 0.35):
        canvas.below(
            waves(study, horizon - 20 + 90 * share, 34, canvas.w * 0.8),
            mix(palette.land(share), palette.horizon, 0.25 - share * 0.5 if share < 0.5 else 0),
        )
    for at in (0.12, 0.2, 0.83):
        elements.tree(
            study,
            canvas.w * (at + study.between(-0.05, 0.05)),
            horizon + 34,
            study.between(70, 120),
            0.5,
        )
    kinds = _kinds(study)
    rows = 8
    for row in range(rows):
        share = row / (rows - 1)
        base = horizon + 70 + (canvas.h - horizon) * 0.98 * share**1.3
        ground = mix(palette.mid, palette.dark, share * 0.92)
        canvas.below(waves(study, base - 6, 8 + 8 * share, canvas.w * 0.45), ground)
        size = 7 + 66 * share**1.5
        count = int(canvas.w / (size * 1.9)) + 2
        for number in range(count):
            at = (number + study.between(-0.35, 0.35)) / count * canvas.w * 1.05
            tall = size * study.between(2.2, 4.2)
            if share < 0.35:
                canvas.disc(
                    at, base + study.between(-10, 20), size * 0.5, _petal_colour(study, kinds)
                )
            else:
                _blade(study, at + size, base + 40, tall * 1.1, shade(ground, palette, 0.3))
                bloom(study, at, base + 30, tall, size, study.dice.choice(kinds), ground)


def _kinds(study: Study) -> tuple[str, ...]:
    for word in ("poppy", "tulip", "daisy", "sunflower", "lavender", "rose"):
        if study.wishes.has(word):
            return (word, word, word, "bud")
    return (
        *tuple(study.dice.sample(("poppy", "tulip", "daisy", "sunflower", "lavender"), 3)),
        "bud",
    )


def _petal_colour(study: Study, kinds: tuple[str, ...]) -> Colour:
    palette = study.palette
    kind = study.dice.choice(kinds)
    colours = {
        "daisy": palette.pale,
        "sunflower": palette.second,
        "lavender": mix(palette.sky[0], palette.accent, 0.3),
    }
    return mix(colours.get(kind, palette.accent), palette.mid, 0.15)


def _blade(study: Study, x: float, foot: float, height: float, colour: Colour) -> None:
    lean = study.between(-0.3, 0.3) * height
    wide = height * 0.05
    study.canvas.plain([(x - wide, foot), (x + lean, foot - height), (x + wide, foot)], colour)


def bloom(
    study: Study, x: float, foot: float, tall: float, size: float, kind: str, ground: Colour
) -> None:
    """Draw one flower on its stem."""
    canvas, palette = study.canvas, study.palette
    lean = study.between(-0.2, 0.2) * tall
    stem = open_curve(
        [(x, foot + 20), (x + lean * 0.3, foot - tall * 0.5), (x + lean, foot - tall)], 8
    )
    green = light(mix(ground, palette.mid, 0.6), palette, 0.14)
    canvas.line(stem, max(2.0, size * 0.09), green)
    fx, fy = stem[len(stem) // 2]
    for side in (-1, 1):
        canvas.oval(
            fx + side * size * 0.36,
            fy + side * size * 0.1,
            size * 0.42,
            size * 0.13,
            green,
            -side * 0.7,
        )
    blossom(study, *stem[-1], size, kind)


def blossom(study: Study, x: float, y: float, size: float, kind: str) -> None:
    """Draw a flower's head."""
    canvas, palette = study.canvas, study.palette
    colour = study.dice.choice(
        (
            palette.accent,
            palette.accent,
            mix(palette.accent, palette.glow, 0.35),
            mix(palette.accent, palette.pale, 0.45),
        )
    )
    turn = study.between(0, math.tau)
    if kind == "daisy":
        _petals(study, x, y, 11, turn, (0.5 * size, 0.4 * size, 0.15 * size), palette.pale)
        canvas.disc(x, y, size * 0.24, palette.second)
    elif kind == "sunflower":
        _petals(study, x, y, 16, turn, (0.62 * size, 0.34 * size, 0.13 * size), palette.second)
        canvas.disc(x, y, size * 0.42, palette.dark)
        canvas.disc(x, y, size * 0.26, mix(palette.dark, palette.second, 0.3))
    elif kind == "tulip":
        for dx in (-0.26, 0.26):
            canvas.oval(
                x + dx * size,
                y - size * 0.2,
                size * 0.26,
                size * 0.56,
                shade(colour, palette, 0.14),
                dx * 0.9,
            )
        canvas.oval(x, y - size * 0.16, size * 0.28, size * 0.56, colour)
    elif kind == "lavender":
        tint = mix(palette.sky[0], palette.accent, 0.35)
        for number in range(9):
            share = number / 8
            for side in (-1, 1):
                canvas.oval(
                    x + side * size * 0.16 * (1.1 - share),
                    y + size * 0.9 - share * size * 1.8,
                    size * 0.17,
                    size * 0.13,
                    light(tint, palette, 0.3 * share),
                    side * 0.5,
                )
    elif kind == "bud":
        canvas.oval(x, y, size * 0.2, size * 0.32, colour, study.between(-0.4, 0.4))
    else:
        _poppy(study, x, y, size, colour)


def _petals(
    study: Study,
    x: float,
    y: float,
    count: int,
    turn: float,
    reach: tuple[float, float, float],
    colour: Colour,
) -> None:
    """Draw petals in a ring; ``reach`` is their distance, length and width."""
    far, long, wide = reach
    for number in range(count):
        a = turn + number / count * math.tau
        study.canvas.oval(x + math.cos(a) * far, y + math.sin(a) * far, long, wide, colour, a)


def _poppy(study: Study, x: float, y: float, size: float, colour: Colour) -> None:
    canvas, palette = study.canvas, study.palette
    for dx, dy, wide, tall, share in (
        (0, -0.2, 0.62, 0.46, 0.2),
        (-0.34, 0.02, 0.44, 0.42, 0.08),
        (0.34, 0.02, 0.44, 0.42, 0.08),
        (0, 0.16, 0.56, 0.36, 0.0),
    ):
        canvas.oval(
            x + dx * size,
            y + dy * size,
            wide * size,
            tall * size,
            shade(colour, palette, share),
            dx * 0.5,
        )
    canvas.disc(x, y - size * 0.02, size * 0.16, palette.dark)
    for number in range(8):
        a = number / 8 * math.tau
        canvas.disc(
            x + math.cos(a) * size * 0.25,
            y - size * 0.02 + math.sin(a) * size * 0.17,
            max(1.0, size * 0.035),
            palette.dark,
        )
