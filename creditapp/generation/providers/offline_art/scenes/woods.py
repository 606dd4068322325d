"""Among trees: trunks in the mist, or ridge behind ridge of pines."""

from __future__ import annotations

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, Point, mix, open_curve, path
from creditapp.generation.providers.offline_art.study import Study, light, waves


def forest(study: Study) -> None:
    """Trunks in the mist with light between them, or ridge behind ridge of pines."""
    if study.wishes.has("pine", "hill", "mountain", "fir") or (
        study.chance(0.45) and not study.wishes.has("birch", "path", "deer")
    ):
        _ridges(study)
    else:
        _trunks(study)
    elements.weather(study)


def _ridges(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * 0.55
    x, radius = canvas.w * study.between(0.3, 0.7), study.between(100, 140)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon)
    elements.sun(study, x, horizon * study.between(0.5, 0.72), radius)
    rows = 6
    for row in range(rows):
        share = row / (rows - 1)
        base = canvas.h * (0.42 + 0.56 * share**1.1)
        line = waves(study, base, 46 - 14 * share, canvas.w * study.between(0.5, 0.9))
        colour = mix(palette.land(share), palette.horizon, 0.4 * (1 - share))
        size = 26 + 150 * share**1.6
        at = -20.0
        while at < canvas.w + 40:
            height = size * study.between(0.6, 1.25)
            _fir(study, at, line(at) + height * 0.16, height, colour)
            at += size * study.between(0.16, 0.42)
        canvas.below(line, colour)
        if row in (1, 2, 3):
            for _ in range(2):
                fog = mix(colour, palette.horizon, 0.55)
                canvas.dash(
                    study.between(0, 1) * canvas.w,
                    base + study.between(20, 50),
                    study.between(200, 480),
                    15,
                    fog,
                )
    elements.birds(study, x - 180, horizon * 0.4, 5)


def _fir(study: Study, x: float, foot: float, height: float, colour: Colour) -> None:
    """A fir as one ragged silhouette."""
    half, tiers = height * 0.17, 5
    left: list[Point] = []
    right: list[Point] = []
    for tier in range(tiers):
        share = (tier + 1) / tiers
        y = foot - height * (1 - share)
        left += [(x - half * share, y), (x - half * share * 0.5, y - height * 0.02)]
        right += [(x + half * share, y), (x + half * share * 0.5, y - height * 0.02)]
    study.canvas.plain([(x, foot - height), *right, *reversed(left)], colour)


def _trunks(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    ground = canvas.h * study.between(0.72, 0.8)
    x, radius = canvas.w * study.between(0.4, 0.6), study.between(110, 150)
    mist = palette.horizon
    elements.sky(study, ground)
    if palette.night:
        elements.stars(study, ground)
    elements.sun(study, x, ground * study.between(0.44, 0.6), radius)
    rows = 5
    for row in range(rows):
        share = row / (rows - 1)
        colour = mix(palette.land(0.15 + 0.85 * share), mist, 0.5 * (1 - share) ** 1.3)
        foot = ground - 70 + 70 * row
        canvas.below(waves(study, foot - 10, 12, canvas.w * 0.5), colour)
        _row_of_trunks(study, foot, share, colour, x)
        if row == rows - 2 and study.chance(0.75):
            deer(study, x + study.between(-60, 60), foot + 24, 150, palette.dark)
    for _ in range(26):
        _fern(
            study, study.between(0, canvas.w), canvas.h + 14, study.between(60, 130), palette.dark
        )


def _row_of_trunks(study: Study, foot: float, share: float, colour: Colour, clear: float) -> None:
    canvas, palette = study.canvas, study.palette
    count = int((15 - 9 * share) * canvas.w / 1000) + 2
    for number in range(count):
        x = (number + study.between(0.1, 0.9)) / count * canvas.w
        if share > 0.4 and abs(x - clear) < canvas.w * 0.15:
            continue
        thick = (10 + 46 * share**1.4) * study.between(0.7, 1.25)
        lean = study.between(-0.03, 0.03) * canvas.h
        top = (x + lean, -20.0)
        shape = [
            (x - thick * 0.9, foot + 16),
            (x - thick * 0.5, foot - 30),
            (top[0] - thick * 0.34, top[1]),
            (top[0] + thick * 0.34, top[1]),
            (x + thick * 0.5, foot - 30),
            (x + thick * 0.9, foot + 16),
        ]
        canvas.cut(shape, colour, 0.4 + share)
        outline, canvas.outline = canvas.outline, None
        side = 1 if x < clear else -1
        edge = light(colour, palette, 0.2)
        canvas.plain(
            [
                (x + side * thick * 0.5, foot - 30),
                (top[0] + side * thick * 0.34, -20),
                (top[0] + side * thick * 0.2, -20),
                (x + side * thick * 0.28, foot - 30),
            ],
            edge,
        )
        for _ in range(2 + int(3 * share)):
            y = foot * study.between(0.05, 0.6)
            reach = study.dice.choice((-1, 1)) * study.between(50, 130) * (0.5 + share)
            at = x + lean * (1 - y / foot)
            canvas.line(
                open_curve([(at, y), (at + reach * 0.5, y - 22), (at + reach, y - 60)], 6),
                1.5 + 4 * share,
                colour,
            )
        canvas.outline = outline


def _fern(study: Study, x: float, foot: float, height: float, colour: Colour) -> None:
    lean = study.between(-0.6, 0.6) * height
    stem = open_curve(
        [(x, foot), (x + lean * 0.4, foot - height * 0.6), (x + lean, foot - height)], 7
    )
    study.canvas.line(stem, 2.4, colour)
    for index in range(2, len(stem) - 1, 2):
        px, py = stem[index]
        size = height * 0.2 * (1 - index / len(stem))
        for side in (-1, 1):
            study.canvas.line([(px, py), (px + side * size, py - size * 0.5)], 2.6, colour)


def deer(study: Study, x: float, foot: float, size: float, colour: Colour) -> None:
    """Draw a standing stag, facing left or right."""
    side = study.dice.choice((-1, 1))

    def at(px: float, py: float) -> Point:
        return (x + side * px * size, foot - py * size)

    body = [
        at(*p)
        for p in path(
            "-0.36,0.62 -0.1,0.64 0.18,0.66 0.3,0.78 0.34,0.95 0.42,1 0.55,0.92 0.56,0.87 "
            "0.45,0.85 0.41,0.72 0.36,0.52 0.2,0.42 -0.1,0.43 -0.3,0.4 -0.4,0.5"
        )
    ]
    study.canvas.plain(body, colour)
    for hip, knee, hoof in (
        (-0.34, -0.38, -0.34),
        (-0.24, -0.22, -0.25),
        (0.22, 0.23, 0.21),
        (0.31, 0.35, 0.33),
    ):
        study.canvas.line([at(hip, 0.48), at(knee, 0.24), at(hoof, 0.0)], size * 0.045, colour)
    study.canvas.line([at(-0.38, 0.6), at(-0.43, 0.52)], size * 0.04, colour)
    study.canvas.plain([at(0.36, 0.98), at(0.26, 1.06), at(0.38, 1.03)], colour)
    for tilt in (0.0, 0.12):
        beam = open_curve(
            [at(0.4 + tilt * 0.3, 1.0), at(0.3 + tilt, 1.16), at(0.36 + tilt, 1.36)], 6
        )
        study.canvas.line(beam, size * 0.026, colour)
        for index in (4, 8):
            px, py = beam[index]
            study.canvas.line(
                [(px, py), (px + side * size * 0.1, py - size * 0.09)], size * 0.022, colour
            )
