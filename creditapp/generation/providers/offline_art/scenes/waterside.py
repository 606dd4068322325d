"""At the water: a harbour with boats, and the open sea."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, Point, mix, open_curve
from creditapp.generation.providers.offline_art.study import Study, shade, waves


def harbour(study: Study) -> None:
    """Houses on a quay, a low sun over the hills, sails and their reflections."""
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * study.between(0.54, 0.62)
    left = study.chance(0.5)
    quay = canvas.w * study.between(0.38, 0.5)
    sun_x = canvas.w * study.between(0.6, 0.8)
    radius = study.between(84, 118)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon * 0.8)
    elements.sun(study, sun_x, horizon - radius * study.between(0.55, 1.25), radius)
    if study.chance(0.4):
        elements.clouds(study, horizon * 0.15, horizon * 0.5, 3)
    canvas.below(waves(study, horizon - 34, 20, canvas.w * 0.7), palette.far)
    canvas.below(waves(study, horizon - 12, 14, canvas.w * 0.5), palette.mid)
    elements.water(study, horizon)
    elements.shine(study, sun_x, horizon, radius * 1.5)
    _quay(study, horizon, quay)
    elements.glints(study, 0, quay * 0.92, horizon + 22, canvas.h * 0.22)
    _boats(study, horizon, quay)
    elements.birds(
        study, sun_x - 150, horizon * study.between(0.24, 0.4), study.dice.choice((3, 4, 5))
    )
    if not left:
        canvas.flip()


def _quay(study: Study, horizon: float, end: float) -> None:
    canvas, palette = study.canvas, study.palette
    x = -10.0
    tallest = canvas.h * study.between(0.22, 0.3)
    while x < end - 30:
        near_end = max(0.0, x / end)
        width = study.between(52, 84)
        height = tallest * (1 - 0.62 * near_end**1.4) * study.between(0.72, 1.08)
        wall = mix(palette.near, palette.dark, study.between(0.1, 0.8))
        if study.chance(0.3):
            wall = mix(wall, palette.accent, study.between(0.22, 0.42))
        house(study, x, horizon + 6, min(width, end - x), height, wall)
        x += width
    pier = [(-10.0, horizon), (end + 18, horizon), (end, horizon + 17), (-10.0, horizon + 17)]
    canvas.cut(pier, palette.dark, 0.5)


def house(study: Study, x: float, foot: float, width: float, height: float, wall: Colour) -> None:
    """Draw a house with a flat, pitched or slanted roof and some windows lit."""
    canvas, palette = study.canvas, study.palette
    top = foot - height
    roof = study.dice.choice(("flat", "flat", "gable", "slant", "gable"))
    rise = width * study.between(0.28, 0.5)
    if roof == "gable":
        shape = [
            (x, foot),
            (x, top),
            (x + width / 2, top - rise),
            (x + width, top),
            (x + width, foot),
        ]
    elif roof == "slant":
        shape = [(x, foot), (x, top), (x + width, top - rise * 0.5), (x + width, foot)]
    else:
        shape = [(x, foot), (x, top), (x + width, top), (x + width, foot)]
    canvas.cut(shape, wall, 0.4)
    dim = mix(wall, palette.dark, 0.5)
    columns = max(1, int(width / 20))
    pane_w, pane_h = 7.5, 11.0
    gap = (width - columns * pane_w) / (columns + 1)
    lit = 0.55 if not palette.night else 0.7
    y = top + 16
    while y < foot - 26:
        for column in range(columns):
            left = x + gap + column * (pane_w + gap)
            if study.chance(lit):
                colour = mix(
                    palette.glow, palette.accent, study.dice.choice((0.0, 0.0, 0.15, 0.35))
                )
            else:
                colour = dim
            canvas.mark(left, y, left + pane_w, y + pane_h, colour)
        y += study.dice.choice((24.0, 26.0))


def _boats(study: Study, horizon: float, quay: float) -> None:
    canvas, palette = study.canvas, study.palette
    room = canvas.h - horizon
    sails = (palette.accent, palette.pale, mix(palette.pale, palette.glow, 0.5), palette.second)
    places = sorted(
        (study.between(0.05, 0.38), study.between(0.42, 1.0))
        for _ in range(study.dice.choice((2, 3, 3)))
    )
    for number, (depth, across) in enumerate(places):
        size = 70 + 330 * depth
        x = quay * 0.9 + (canvas.w - quay) * across * 0.95
        sailing_boat(study, x, horizon + room * depth, size, sails[(number + 1) % len(sails)])
    main = room * study.between(0.24, 0.36)
    x = canvas.w * study.between(0.72, 0.86)
    sailing_boat(study, x, horizon + main, study.between(210, 260), palette.accent)


def sailing_boat(study: Study, x: float, foot: float, size: float, sail: Colour) -> None:
    """Draw a boat under two sails with its broken reflection."""
    canvas, palette = study.canvas, study.palette
    mast = (x + size * 0.04, foot - size * 0.92)
    main = [mast, (x + size * 0.03, foot - size * 0.12), (x - size * 0.4, foot - size * 0.12)]
    main = [*open_curve([main[0], (x - size * 0.2, foot - size * 0.58), main[2]]), main[1]]
    jib = [
        (x + size * 0.07, foot - size * 0.82),
        (x + size * 0.32, foot - size * 0.14),
        (x + size * 0.07, foot - size * 0.12),
    ]
    hull = [
        (x - size * 0.46, foot - size * 0.09),
        (x + size * 0.46, foot - size * 0.1),
        (x + size * 0.34, foot + size * 0.03),
        (x - size * 0.36, foot + size * 0.03),
    ]
    other = palette.pale if sail != palette.pale else mix(palette.pale, palette.glow, 0.55)
    _reflect(study, main, foot, mix(sail, palette.water, 0.5))
    _reflect(study, jib, foot, mix(other, palette.water, 0.55))
    _break_up(study, x, foot, size)
    canvas.poly(main, sail)
    canvas.poly(jib, other)
    canvas.line([mast, (x + size * 0.05, foot - size * 0.08)], max(2.0, size * 0.014), palette.dark)
    canvas.poly(hull, palette.dark)


def _reflect(study: Study, shape: list[Point], foot: float, colour: Colour) -> None:
    study.canvas.plain([(x, foot + (foot - y) * 0.62) for x, y in shape], colour)


def _break_up(study: Study, x: float, foot: float, size: float) -> None:
    """Cut a reflection into strips, wider apart with the distance from the boat."""
    y, gap = foot + size * 0.07, size * 0.05
    while y < foot + size * 0.66:
        share = (y - foot) / size
        colour = mix(study.palette.water, study.palette.dark, 0.12)
        study.canvas.dash(
            x + study.between(-0.1, 0.1) * size,
            y,
            size * study.between(0.75, 1.2),
            size * (0.016 + 0.04 * share),
            colour,
        )
        y += gap * study.between(0.75, 1.2)


def sea(study: Study) -> None:
    """Rolling waves in rows under a large sun."""
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * study.between(0.38, 0.5)
    x, radius = canvas.w * study.between(0.3, 0.7), study.between(120, 170)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon * 0.8)
    elements.clouds(study, horizon * 0.15, horizon * 0.7, 4)
    elements.sun(study, x, horizon - radius * study.between(0.1, 0.5), radius)
    if study.wishes.has("island") or study.chance(0.35):
        canvas.below(waves(study, horizon - 6, 22, canvas.w * 0.45, 2), palette.far)
    rows = 7
    depth = canvas.h - horizon
    for row in range(rows):
        share = row / (rows - 1)
        top = horizon + depth * (share * 0.95) ** 1.25
        length, height = 90 + 210 * share, 12 + 52 * share
        colour = mix(
            mix(palette.water, palette.horizon, 0.35), shade(palette.water, palette, 0.55), share
        )
        _swell(study, top, length, height, colour)
        if row == 2:
            elements.shine(study, x, horizon + 6, radius * 0.9, top + depth * 0.1)
        if row == 3:
            sailing_boat(
                study, canvas.w * study.between(0.2, 0.8), top - height * 0.1, 150, palette.accent
            )
    elements.birds(study, canvas.w * study.between(0.1, 0.6), horizon * 0.45, 4)
    elements.weather(study)


def _swell(study: Study, top: float, length: float, height: float, colour: Colour) -> None:
    """Draw a row of waves with sharp crests, each with lines that follow its back."""
    canvas, palette = study.canvas, study.palette
    start = -length * study.between(0.1, 1.0)

    def surface(x: float, sink: float) -> float:
        phase: float = ((x - start) / length) % 1.0
        # Steep before the crest, long behind it: a wave that travels.
        bent: float = phase**0.82
        rise: float = max(0.0, math.sin(math.pi * bent)) ** 0.75
        return top + sink + height * rise

    count = int(canvas.w / length * 26) + 2
    xs = [canvas.w * n / count for n in range(count + 1)]
    line = [(x, surface(x, 0)) for x in xs]
    canvas.cut([*line, (canvas.w + 9, canvas.h + 40), (-9, canvas.h + 40)], colour, 0.9)
    thin = max(1.6, height * 0.07)
    outline, canvas.outline = canvas.outline, None
    for number, (sink, width) in enumerate(
        ((thin * 0.6, thin * 1.5), (height * 0.42, thin), (height * 0.8, thin * 0.7))
    ):
        ink = mix(colour, palette.pale, (0.78, 0.3, 0.16)[number])
        canvas.line([(x, surface(x, sink)) for x in xs], width, ink)
    canvas.outline = outline
