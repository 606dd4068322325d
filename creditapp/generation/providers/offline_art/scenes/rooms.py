"""Indoors: a corner to read in by a large window, or in a greenhouse."""

from __future__ import annotations

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import (
    Canvas,
    mix,
    open_curve,
    path,
)
from creditapp.generation.providers.offline_art.scenes.furniture import (
    armchair,
    hanging,
    lamp,
    pot,
    side_table,
    sleeping_cat,
)
from creditapp.generation.providers.offline_art.study import Study, shade, waves


def interior(study: Study) -> None:
    """An armchair, a lamp, books and many plants before a large window."""
    canvas, palette = study.canvas, study.palette
    floor = canvas.h * 0.8
    if study.wishes.has("greenhouse", "conservatory", "glass", "garden"):
        _view(study, floor)
        _glazing(study, floor)
    else:
        wall = mix(palette.pale, palette.far, 0.35)
        canvas.fill(mix(palette.mid, palette.near, 0.55) if palette.night else wall)
        half = min(canvas.w * 0.36, canvas.h * 0.34)
        middle = canvas.w * 0.5
        _window(study, middle - half, canvas.h * 0.08, middle + half, canvas.h * 0.62)
    _floor(study, floor)
    side = study.dice.choice((-1, 1))
    unit = min(canvas.w, canvas.h) * 0.24
    middle = canvas.w * 0.5
    pot(study, middle - side * unit * 1.55, floor + unit * 0.1, unit * 0.9, "palm")
    pot(study, middle + side * unit * 1.75, floor + unit * 0.02, unit * 1.05, "monstera")
    lamp(study, middle + side * unit * 0.98, floor + unit * 0.2, unit, side)
    armchair(study, middle, floor + unit * 0.34, unit)
    side_table(study, middle - side * unit * 1.1, floor + unit * 0.4, unit * 0.5)
    pot(study, middle + side * unit * 1.7, canvas.h * 0.99, unit * 0.6, "grass")
    hanging(study, middle - side * unit * 1.6, unit * 0.8)
    if study.wishes.has("cat"):
        sleeping_cat(study, middle - side * unit * 0.2, canvas.h * 0.945, unit * 0.4)


def _floor(study: Study, top: float) -> None:
    """Boards that run towards us, and a round rug."""
    canvas, palette = study.canvas, study.palette
    boards = mix(palette.far, palette.second, 0.35)
    if palette.night:
        boards = mix(palette.mid, palette.second, 0.2)
    boards = shade(boards, palette, 0.2)
    right, low = canvas.w + 9, canvas.h + 9
    canvas.cut([(-9, top), (right, top), (right, low), (-9, low)], boards, 0.6)
    middle = canvas.w / 2
    for number in range(-9, 16):
        away = canvas.w * number / 7 - middle
        seam = [(middle + away * 0.7, top), (middle + away * 1.7, low)]
        canvas.line(seam, 2, shade(boards, palette, 0.16))
    for wide, tall, colour, share in (
        (0.4, 0.065, palette.accent, 0.2),
        (0.35, 0.053, palette.pale, 0.2),
        (0.32, 0.047, palette.accent, 0.1),
    ):
        size = (canvas.w * wide, canvas.h * tall)
        canvas.oval(middle, canvas.h * 0.92, *size, mix(colour, boards, share))


def _view(study: Study, y1: float) -> None:
    """What is seen through the glass: a garden in the weather of the prompt."""
    canvas, palette = study.canvas, study.palette
    elements.sky(study, y1 * 0.75)
    if palette.night:
        elements.stars(study, y1 * 0.6)
    elements.sun(study, canvas.w * study.between(0.3, 0.7), y1 * study.between(0.22, 0.36), 74)
    for share, base in path("0,0.56 0.35,0.72 0.6,0.86"):
        line = waves(study, y1 * base, 24, canvas.w * 0.5)
        for _ in range(5):
            x = study.between(0, canvas.w)
            elements.tree(study, x, line(x) + 12, study.between(90, 190) * (0.7 + share), share)
        canvas.below(line, mix(palette.land(share), palette.horizon, 0.3 * (1 - share)))
    if study.wishes.has("rain", "rainy", "storm"):
        _wet_glass(study, y1)


def _wet_glass(study: Study, bottom: float) -> None:
    """Drops and runs of rain on the pane."""
    canvas, palette = study.canvas, study.palette
    elements.rain(study, 70)
    bright = mix(palette.sky[3], palette.pale, 0.7)
    for _ in range(60):
        x, y = study.between(0, canvas.w), study.between(0, bottom)
        size = study.between(1.8, 4.6)
        canvas.oval(x, y, size * 0.8, size, bright)
        if study.chance(0.4):
            long = study.between(30, 110)
            canvas.line(
                open_curve([(x, y), (x + study.between(-4, 4), y - long * 0.5), (x, y - long)], 5),
                1.5,
                mix(bright, palette.sky[2], 0.4),
            )


def _glazing(study: Study, floor: float) -> None:
    """The iron of a greenhouse: bars, an arch and a low wall."""
    canvas, palette = study.canvas, study.palette
    iron = palette.pale if palette.night is False else mix(palette.near, palette.pale, 0.3)
    ridge, knee = canvas.h * 0.06, canvas.h * 0.3
    middle = canvas.w / 2
    columns = 6 if canvas.w <= canvas.h * 1.2 else 8
    for number in range(columns + 1):
        x = canvas.w * number / columns
        canvas.line([(x, floor), (x, knee)], 7, iron)
        canvas.line([(x, knee), (middle + (x - middle) * 0.24, ridge - 60)], 6, iron)
    for y, width in ((knee, 10), (floor * 0.62, 6)):
        canvas.line([(-9, y), (canvas.w + 9, y)], width, iron)
    for share in (0.35, 0.7):
        y = ridge + (knee - ridge) * share
        canvas.line([(-9, y), (canvas.w + 9, y)], 4, iron)
    low = floor - canvas.h * 0.085
    brick = mix(palette.accent, palette.near, 0.45)
    canvas.cut(
        [(-9, low), (canvas.w + 9, low), (canvas.w + 9, floor + 9), (-9, floor + 9)], brick, 0.5
    )
    rows = 3
    tall = (floor - low) / rows
    for row in range(rows):
        canvas.line(
            [(-9, low + row * tall), (canvas.w + 9, low + row * tall)],
            2,
            shade(brick, palette, 0.3),
        )
        for number in range(int(canvas.w / 56) + 2):
            x = number * 56 + (28 if row % 2 else 0)
            canvas.line(
                [(x, low + row * tall), (x, low + (row + 1) * tall)], 2, shade(brick, palette, 0.3)
            )
    canvas.rect(-9, low - 14, canvas.w + 9, low + 4, iron)


def _window(study: Study, x0: float, y0: float, x1: float, y1: float) -> None:
    canvas, palette = study.canvas, study.palette
    k = canvas.scale
    inner = Canvas(
        max(8, round((x1 - x0) * k / canvas.samples)),
        max(8, round((y1 - y0) * k / canvas.samples)),
        canvas.samples,
    )
    inner.outline = canvas.outline
    outside = Study(inner, palette, study.dice, study.wishes, study.soft)
    _view(outside, inner.h)
    frame = palette.pale if not palette.night else mix(palette.near, palette.pale, 0.25)
    canvas.rect(x0 - 18, y0 - 18, x1 + 18, y1 + 18, frame)
    canvas.image.paste(inner.image, (round(x0 * k), round(y0 * k)))
    for share in (1 / 3, 2 / 3):
        x = x0 + (x1 - x0) * share
        canvas.line([(x, y0), (x, y1)], 9, frame)
    y = y0 + (y1 - y0) * 0.38
    canvas.line([(x0, y), (x1, y)], 9, frame)
    canvas.rect(x0 - 34, y1 + 14, x1 + 34, y1 + 32, shade(frame, palette, 0.14))
    cloth = mix(palette.accent, palette.pale, 0.2)
    for side, edge in ((-1, x0), (1, x1)):
        drape = [
            (edge - side * 30, y0 - 40),
            (edge + side * 90, y0 - 40),
            (edge + side * 84, y1 + 70),
            (edge + side * 10, y1 + 74),
            (edge + side * 2, y1 * 0.6),
        ]
        canvas.cut(drape, cloth, 0.6)
        for fold in (30, 58):
            canvas.line(
                [(edge + side * fold, y0 - 36), (edge + side * (fold + 2), y1 + 66)],
                4,
                shade(cloth, palette, 0.18),
            )
    canvas.line([(x0 - 110, y0 - 42), (x1 + 110, y0 - 42)], 9, palette.dark)
