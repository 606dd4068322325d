"""High and dry: mountains with snow and a lake, and the desert."""

from __future__ import annotations

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, Point, mix, open_curve
from creditapp.generation.providers.offline_art.study import (
    Study,
    crags,
    height_of,
    light,
    shade,
    waves,
)


def mountain(study: Study) -> None:
    """Ranges of peaks, each nearer and darker, over a lake or a wooded valley."""
    canvas, palette = study.canvas, study.palette
    lake = study.chance(0.6) or study.wishes.has("lake", "fjord", "river")
    horizon = canvas.h * (study.between(0.66, 0.72) if lake else study.between(0.78, 0.86))
    x, radius = canvas.w * study.between(0.22, 0.78), study.between(70, 105)
    elements.sky(study, horizon * 0.9)
    if palette.night:
        elements.stars(study, horizon * 0.6)
    elements.sun(study, x, horizon * study.between(0.24, 0.42), radius)
    elements.clouds(study, horizon * 0.12, horizon * 0.45, 3)
    lit_left = x < canvas.w / 2
    rows = ((0.0, 0.62, 5), (0.33, 0.5, 5), (0.66, 0.3, 6))
    for share, height, peaks in rows:
        colour = mix(palette.land(share), palette.horizon, 0.3 * (1 - share))
        _range(study, horizon + 10, horizon * height, peaks, colour, share, lit_left)
        if share < 0.5:
            haze = mix(colour, palette.horizon, 0.35)
            canvas.below(waves(study, horizon - 40 + 70 * share, 14, canvas.w * 0.6), haze)
    _wood(study, horizon, 0.72, 34, 60)
    if lake:
        canvas.mirror(horizon, canvas.h - horizon + 1, palette.water, 0.45)
        for _ in range(int(90 * canvas.w / 1000)):
            share = study.dice.random()
            y = horizon + 8 + share * (canvas.h - horizon)
            colour = mix(palette.water, palette.ripple, study.between(0.2, 0.8))
            canvas.dash(
                study.between(0, canvas.w), y, study.between(30, 170), 1.8 + 2.6 * share, colour
            )
        elements.shine(study, x, horizon, radius * 0.9)
    near = waves(study, canvas.h * 0.95, 26, canvas.w * 0.8)
    canvas.below(near, palette.dark)
    for _ in range(study.dice.choice((5, 7, 9))):
        at = study.dice.choice((study.between(-0.02, 0.26), study.between(0.74, 1.02))) * canvas.w
        elements.pine(study, at, near(at) + 14, canvas.h * study.between(0.16, 0.34), 0.93)
    if study.wishes.has("balloon", "airship") or study.chance(0.14):
        for place in study.dice.sample((0.18, 0.42, 0.6, 0.84), 3):
            elements.balloon(
                study,
                canvas.w * (place + study.between(-0.05, 0.05)),
                horizon * study.between(0.26, 0.5),
                study.between(26, 74),
            )
    elements.birds(study, canvas.w * study.between(0.35, 0.6), horizon * 0.3, 4)
    elements.weather(study)


def _range(
    study: Study,
    base: float,
    height: float,
    peaks: int,
    colour: Colour,
    share: float,
    lit_left: bool,
) -> None:
    canvas, palette = study.canvas, study.palette
    corners = crags(study, base, height, peaks)
    canvas.cut([*corners, (canvas.w + 140, canvas.h + 40), (-140, canvas.h + 40)], colour, 1.0)
    outline, canvas.outline = canvas.outline, None
    line = height_of(corners)
    dark, snow = shade(colour, palette, 0.24), mix(palette.pale, colour, 0.08 + 0.1 * share)
    for index in range(2, len(corners) - 2):
        x, y = corners[index]
        around = corners[max(0, index - 9) : index + 10]
        if y > min(point[1] for point in around) or base - y < height * 0.42:
            continue
        side = 1 if lit_left else -1
        _shaded_side(study, line, (x, y), base, height, side, dark)
        if share < 0.6:
            _snow_cap(study, line, (x, y), height, snow, mix(snow, palette.sky[1], 0.35), side)
    canvas.outline = outline


def _shaded_side(
    study: Study, line: object, peak: Point, base: float, height: float, side: int, colour: Colour
) -> None:
    """Darken the flank that lies away from the light, along a broken ridge down the front."""
    assert callable(line)
    x, y = peak
    reach = min((base - y) * 0.85, height * 0.8)
    flank = [(x + side * reach * n / 14, float(line(x + side * reach * n / 14))) for n in range(15)]
    ridge: list[Point] = []
    steps = 6
    for step in range(steps, 0, -1):
        share = step / steps
        swing = study.between(0.02, 0.13) * (1 if step % 2 else -1)
        ridge.append((x + side * reach * (0.16 * share + swing * share), y + (base - y) * share))
    study.canvas.plain([*flank, (x + side * reach, base), *ridge], colour)


def _snow_cap(
    study: Study, line: object, peak: Point, height: float, snow: Colour, blue: Colour, side: int
) -> None:
    assert callable(line)
    x, y = peak
    deep = height * study.between(0.2, 0.3)
    for direction, colour in ((-side, snow), (side, blue)):
        edge: list[Point] = []
        for n in range(9):
            at = x + direction * deep * 0.95 * n / 8
            top = float(line(at))
            if top > y + deep:
                break
            edge.append((at, top))
        if len(edge) < 2:
            continue
        tip = edge[-1]
        zigzag: list[Point] = []
        count = 5
        for n in range(1, count):
            share = n / count
            drop = deep * (0.5 if n % 2 else 0.12) * study.between(0.7, 1.2)
            zigzag.append(
                (
                    tip[0] + (x - tip[0]) * share,
                    tip[1] + (y + deep * 0.75 - tip[1]) * share + drop * 0.6,
                )
            )
        study.canvas.plain([*edge, *zigzag, (x, y + deep * 0.72)], colour)


def _wood(study: Study, foot: float, share: float, low: float, high: float) -> None:
    """A distant wood as one ragged edge of small pines."""
    canvas = study.canvas
    colour = study.palette.land(share)
    rim = waves(study, foot - 10, 10, canvas.w * 0.4)
    x = -20.0
    while x < canvas.w + 20:
        height = study.between(low, high)
        y = rim(x)
        canvas.plain(
            [(x, y - height), (x + height * 0.2, foot + 2), (x - height * 0.2, foot + 2)], colour
        )
        x += study.between(7, 17)
    canvas.plain(
        [(0, foot - 14), (canvas.w, foot - 14), (canvas.w, foot + 2), (0, foot + 2)], colour
    )


def desert(study: Study) -> None:
    """Dunes with sharp crests, tables of rock far away, cactuses near."""
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * study.between(0.48, 0.56)
    x, radius = canvas.w * study.between(0.25, 0.75), study.between(105, 150)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon * 0.85)
    elements.sun(study, x, horizon - radius * study.between(0.2, 1.2), radius)
    elements.clouds(study, horizon * 0.2, horizon * 0.6, 2)
    for share in (0.0, 0.25):
        _mesas(
            study,
            horizon + 20,
            horizon * (0.42 - share),
            mix(palette.land(share), palette.horizon, 0.3 - share),
        )
    rows = 5
    for row in range(rows):
        share = row / (rows - 1)
        top = horizon + (canvas.h - horizon) * (share * 0.86) ** 1.15
        _dune(study, top, 26 + 72 * share, mix(palette.far, palette.near, share), x < canvas.w / 2)
        if row == 2:
            for _ in range(3):
                cactus(
                    study,
                    study.between(0.1, 0.9) * canvas.w,
                    top + 60,
                    study.between(60, 105),
                    0.75,
                )
    side = canvas.w * study.dice.choice((study.between(0.1, 0.2), study.between(0.8, 0.9)))
    cactus(study, side, canvas.h * 0.97, canvas.h * study.between(0.3, 0.42), 1.0)
    elements.birds(study, canvas.w * study.between(0.3, 0.6), horizon * 0.35, 3)


def _mesas(study: Study, base: float, height: float, colour: Colour) -> None:
    canvas = study.canvas
    points: list[Point] = [(-40, base + 200), (-40, base)]
    x = study.between(-60, 60)
    while x < canvas.w:
        wide, tall = study.between(90, 240), height * study.between(0.4, 1.0)
        slope = study.between(14, 36)
        points += [(x, base), (x + slope, base - tall * 0.45), (x + slope * 1.5, base - tall)]
        points += [(x + slope * 1.5 + wide, base - tall * study.between(0.94, 1.0))]
        points += [(x + slope * 2 + wide, base - tall * 0.45), (x + slope * 3 + wide, base)]
        x += slope * 3 + wide + study.between(20, 260)
    canvas.cut([*points, (canvas.w + 40, base), (canvas.w + 40, base + 200)], colour, 0.7)


def _dune(study: Study, top: float, height: float, colour: Colour, lit_left: bool) -> None:
    """A dune: a long soft crest whose far side lies in the shade."""
    canvas, palette = study.canvas, study.palette
    line = waves(study, top, height, canvas.w * study.between(0.55, 0.95), 2)
    base = light(colour, palette, 0.14)
    canvas.below(line, base)
    outline, canvas.outline = canvas.outline, None
    step = 8.0
    xs = [step * n - 40 for n in range(int((canvas.w + 80) / step) + 2)]
    crests = [x for x in xs if line(x) <= line(x - step) and line(x) < line(x + step)]
    for crest in crests:
        side = 1 if lit_left else -1
        reach = canvas.w * study.between(0.26, 0.4)
        edge = [
            (crest + side * reach * n / 24, line(crest + side * reach * n / 24)) for n in range(25)
        ]
        deep = height * study.between(2.2, 3.4)
        inner = open_curve(
            [
                (crest, line(crest)),
                (crest + side * reach * 0.06, line(crest) + deep * 0.3),
                (crest - side * reach * 0.05, line(crest) + deep * 0.62),
                (crest + side * reach * 0.22, line(crest) + deep),
            ]
        )
        canvas.plain([*edge, *reversed(inner)], shade(colour, palette, 0.16))
    for number in range(5):
        offset = 22 + number * (12 + height * 0.14)
        ripple = mix(base, colour, 0.55)
        start, length = study.between(-0.1, 0.8) * canvas.w, study.between(0.15, 0.4) * canvas.w
        canvas.line(
            [(start + length * n / 20, line(start + length * n / 20) + offset) for n in range(21)],
            2.0,
            ripple,
        )
    canvas.outline = outline


def cactus(study: Study, x: float, foot: float, height: float, share: float) -> None:
    """Draw a saguaro with its arms up."""
    canvas, palette = study.canvas, study.palette
    colour = mix(palette.land(share), palette.water, 0.35)
    thick = height * 0.13
    canvas.line([(x, foot), (x, foot - height)], thick, colour)
    for side, low, up in (
        (-1, study.between(0.35, 0.5), study.between(0.2, 0.3)),
        (1, study.between(0.45, 0.62), study.between(0.14, 0.26)),
    ):
        elbow = (x + side * thick * 1.75, foot - height * low)
        bend = open_curve(
            [
                (x, foot - height * low + thick * 0.3),
                (x + side * thick * 1.2, elbow[1] + thick * 0.25),
                (elbow[0], elbow[1] - thick * 0.7),
                (elbow[0], elbow[1] - height * up),
            ]
        )
        canvas.line(bend, thick * 0.72, colour)
    rib = light(colour, palette, 0.25)
    for offset in (-0.2, 0.12):
        canvas.line(
            [(x + thick * offset, foot - 3), (x + thick * offset, foot - height * 0.97)],
            max(1.2, thick * 0.07),
            rib,
        )
