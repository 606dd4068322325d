"""A castle on its rock, for the prompts of fairy tales."""

from __future__ import annotations

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, Point, mix, path, smooth
from creditapp.generation.providers.offline_art.study import Study, shade, waves


def castle(study: Study) -> None:
    """Towers with pointed roofs before a large disc, hills in front, sometimes a dragon."""
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * 0.78
    x, unit = canvas.w * study.between(0.42, 0.58), min(canvas.w, canvas.h)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon)
    elements.sun(study, x + unit * study.between(-0.16, 0.16), canvas.h * 0.36, unit * 0.22)
    elements.clouds(study, canvas.h * 0.1, canvas.h * 0.4, 3)
    for share in (0.0, 0.3):
        colour = mix(palette.land(share), palette.horizon, 0.35 - share)
        canvas.below(waves(study, horizon - 90 + 160 * share, 46, canvas.w * 0.6), colour)
    foot = canvas.h * 0.7
    _towers(study, x, foot, unit)
    rock = smooth(
        [
            (x + px * unit, foot + py * unit)
            for px, py in path(
                "-0.5,0.5 -0.36,0.12 -0.27,-0.02 0,-0.03 0.27,-0.02 0.35,0.1 0.52,0.5"
            )
        ]
    )
    canvas.cut(rock, shade(palette.near, palette, 0.1), 1.0)
    line = waves(study, canvas.h * 0.88, 22, canvas.w * 0.6)
    for _ in range(int(26 * canvas.w / 1000)):
        at = study.between(-0.02, 1.02) * canvas.w
        elements.pine(study, at, line(at) + 14, study.between(60, 150), 0.9)
    canvas.below(line, palette.dark)
    if study.wishes.has("dragon"):
        _dragon(study, canvas.w * 0.24, canvas.h * 0.24, unit * 0.2)
    else:
        elements.birds(study, canvas.w * 0.2, canvas.h * 0.24, 5)
    elements.weather(study)


def _towers(study: Study, x: float, foot: float, unit: float) -> None:
    palette = study.palette
    wall = mix(palette.mid, palette.near, 0.5)
    plan = (
        (-0.19, 0.05, 0.24), (0.2, 0.055, 0.28), (-0.09, 0.045, 0.34), (0.09, 0.05, 0.4),
        (0.0, 0.07, 0.47), (-0.26, 0.05, 0.15), (0.27, 0.045, 0.17),
    )  # fmt: skip
    for number, (place, half, height) in enumerate(plan):
        tone = mix(wall, palette.dark, 0.12 * (number % 3))
        tall = unit * height * study.between(0.86, 1.05)
        _tower(study, x + place * unit, foot + unit * 0.06, unit * half, tall, tone)
    _wall(study, x, foot + unit * 0.06, unit, mix(wall, palette.dark, 0.3))


def _tower(study: Study, x: float, foot: float, half: float, height: float, wall: Colour) -> None:
    canvas, palette = study.canvas, study.palette
    top = foot - height
    canvas.cut([(x - half, foot), (x - half, top), (x + half, top), (x + half, foot)], wall, 0.5)
    side = shade(wall, palette, 0.2)
    canvas.plain(
        [(x + half * 0.4, foot), (x + half * 0.4, top), (x + half, top), (x + half, foot)], side
    )
    canvas.rect(x - half * 1.2, top - half * 0.3, x + half * 1.2, top + half * 0.2, side)
    roof, tip = mix(palette.accent, palette.dark, 0.15), top - half * study.between(2.2, 3.0)
    canvas.poly(
        [(x - half * 1.25, top - half * 0.3), (x, tip), (x + half * 1.25, top - half * 0.3)], roof
    )
    canvas.plain(
        [(x + half * 0.3, top - half * 0.3), (x, tip), (x + half * 1.25, top - half * 0.3)],
        shade(roof, palette, 0.25),
    )
    canvas.line([(x, tip), (x, tip - half * 0.6)], 2.2, palette.dark)
    flag = [(x, tip - half * 0.6), (x + half * 0.7, tip - half * 0.42), (x, tip - half * 0.22)]
    canvas.plain(flag, palette.glow)
    y = top + half * 0.8
    while y < foot - half:
        if study.chance(0.7):
            canvas.mark(x - half * 0.28, y, x + half * 0.1, y + half * 0.55, palette.glow)
        y += half * study.between(1.3, 1.9)


def _wall(study: Study, x: float, foot: float, unit: float, wall: Colour) -> None:
    """The curtain wall with its battlements and its gate."""
    canvas, palette = study.canvas, study.palette
    half, top = unit * 0.3, foot - unit * 0.1
    merlon = half * 2 / 21
    edge: list[Point] = []
    for number in range(21):
        y = top - merlon * 0.7 if number % 2 == 0 else top
        edge += [(x - half + number * merlon, y), (x - half + (number + 1) * merlon, y)]
    canvas.cut([(x - half, foot), *edge, (x + half, foot)], wall, 0.7)
    gate = smooth(
        [
            (x + px * unit, foot + py * unit)
            for px, py in path("-0.035,0.03 -0.035,-0.04 0,-0.075 0.035,-0.04 0.035,0.03")
        ]
    )
    canvas.poly(gate, palette.dark)
    for place in (-0.2, -0.11, 0.11, 0.2):
        left = x + place * unit
        canvas.mark(left - 5, top + unit * 0.025, left + 5, top + unit * 0.05, palette.glow)


def _dragon(study: Study, x: float, y: float, size: float) -> None:
    def at(px: float, py: float) -> Point:
        return (x + px * size, y + py * size)

    ink = mix(study.palette.dark, study.palette.accent, 0.12)
    body = path(
        "-1.3,0.5 -0.9,0.34 -0.5,0.22 -0.1,0.1 0.3,0.0 0.6,-0.16 0.78,-0.3 1.0,-0.34 1.14,-0.24 "
        "1.0,-0.18 0.84,-0.12 0.6,0.1 0.3,0.22 -0.1,0.3 -0.5,0.32 -0.9,0.42"
    )
    study.canvas.plain(smooth([at(*p) for p in body]), ink)
    for wing in (
        "0.2,0.06 0,-0.7 -0.3,-1.1 -0.42,-0.76 -0.7,-0.84 -0.66,-0.5 -0.92,-0.4 -0.5,-0.1 -0.2,0.1",
        "0.3,0.04 0.46,-0.6 0.4,-1.05 0.72,-0.82 0.66,-0.5 0.82,-0.4 0.6,-0.1",
    ):
        study.canvas.plain([at(*p) for p in path(wing)], ink)
    for spike in ("-1.3,0.5 -1.56,0.42 -1.4,0.62", "0.94,-0.34 0.86,-0.5 1.02,-0.36"):
        study.canvas.plain([at(*p) for p in path(spike)], ink)
