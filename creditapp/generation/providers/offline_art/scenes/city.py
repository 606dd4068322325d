"""A skyline in the evening, sometimes across a river."""

from __future__ import annotations

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, mix
from creditapp.generation.providers.offline_art.study import Study, light, shade


def city(study: Study) -> None:
    """Rows of towers before a large disc, windows lit, sometimes a river and a bridge."""
    canvas, palette = study.canvas, study.palette
    river = study.chance(0.55) or study.wishes.has("river", "bridge", "london", "paris")
    ground = canvas.h * (study.between(0.68, 0.75) if river else 1.02)
    radius = study.between(120, 180)
    x = canvas.w * study.between(0.28, 0.72)
    elements.sky(study, ground * 0.92)
    if palette.night:
        elements.stars(study, ground * 0.6)
    elements.sun(study, x, ground * study.between(0.34, 0.48), radius)
    elements.clouds(study, ground * 0.12, ground * 0.5, 3)
    rows = 4
    for row in range(rows):
        share = row / (rows - 1)
        colour = mix(palette.far, palette.dark, share**0.9)
        if row == 0:
            colour = mix(palette.far, palette.horizon, 0.45)
        tallest = ground * (0.62 - 0.1 * row) * study.between(0.9, 1.05)
        _row(study, ground, tallest, share, colour)
    elements.birds(study, canvas.w * study.between(0.1, 0.6), ground * 0.16, 5)
    if river:
        _river(study, ground, x, radius)
    elements.weather(study)


def _row(study: Study, ground: float, tallest: float, share: float, colour: Colour) -> None:
    canvas = study.canvas
    x = -study.between(0, 60)
    wave = study.between(0.25, 0.6)
    while x < canvas.w + 20:
        width = study.between(42, 92) * (0.8 + 0.5 * share)
        centre = abs(x / canvas.w - wave)
        height = tallest * (1 - 0.45 * centre) * study.between(0.5, 1.0) * (1 - 0.25 * share)
        height = max(height, 90 * (1 - 0.3 * share))
        tone = mix(colour, study.palette.near, study.between(-0.0, 0.22))
        _tower(study, x, ground, width, height, tone, share)
        x += width + (study.between(0, 14) if study.chance(0.4) else -1)


def _tower(
    study: Study, x: float, ground: float, width: float, height: float, wall: Colour, share: float
) -> None:
    canvas, palette = study.canvas, study.palette
    top, middle = ground - height, x + width / 2
    kind = study.dice.choice(("flat", "flat", "steps", "spire", "slant", "dome", "tank"))
    body = [(x, ground), (x, top), (x + width, top), (x + width, ground)]
    if kind == "slant":
        body = [(x, ground), (x, top), (x + width, top - width * 0.45), (x + width, ground)]
    elif kind == "steps":
        inset = width * 0.2
        rise = height * 0.12
        body = [
            (x, ground), (x, top + rise), (x + inset, top + rise), (x + inset, top),
            (x + width - inset, top), (x + width - inset, top + rise), (x + width, top + rise),
            (x + width, ground),
        ]  # fmt: skip
    if kind == "dome":
        canvas.disc(middle, top, width * 0.5, wall)
    if kind in ("spire", "steps"):
        canvas.poly(
            [
                (middle - width * 0.1, top + 4),
                (middle, top - width * 0.9),
                (middle + width * 0.1, top + 4),
            ],
            wall,
        )
    if kind == "tank" and share > 0.3:
        canvas.rect(
            middle - width * 0.2, top - width * 0.4, middle + width * 0.2, top - width * 0.14, wall
        )
        canvas.poly(
            [
                (middle - width * 0.24, top - width * 0.4),
                (middle, top - width * 0.58),
                (middle + width * 0.24, top - width * 0.4),
            ],
            wall,
        )
        for leg in (-0.15, 0.15):
            canvas.line(
                [(middle + leg * width, top - width * 0.14), (middle + leg * width, top)], 2.5, wall
            )
    canvas.cut(body, wall, 0.5)
    outline, canvas.outline = canvas.outline, None
    if share > 0.2 and width > 30:
        side = [
            (x + width * 0.76, ground),
            (x + width * 0.76, top + height * (0.13 if kind == "steps" else 0.0)),
            (x + width, top + height * (0.13 if kind == "steps" else 0.0)),
            (x + width, ground),
        ]
        canvas.plain(
            side, shade(wall, palette, 0.22) if share < 0.9 else light(wall, palette, 0.05)
        )
        _windows(study, x, top + height * 0.14, width, ground, wall, share)
    canvas.outline = outline


def _windows(
    study: Study, x: float, top: float, width: float, ground: float, wall: Colour, share: float
) -> None:
    canvas, palette = study.canvas, study.palette
    style = study.dice.choice(("panes", "panes", "strips", "bands"))
    lit = study.between(0.25, 0.6) + (0.15 if palette.night else 0.0)
    dim = light(wall, palette, 0.1)
    colours = (palette.glow, palette.glow, mix(palette.glow, palette.accent, 0.3), palette.disc)
    step = 15 + 7 * share
    y = top
    while y < ground - 12:
        if style == "bands":
            colour = mix(wall, palette.glow, 0.75 if study.chance(lit * 0.5) else 0.16)
            canvas.mark(x + 6, y, x + width - 6, y + step * 0.36, colour)
            y += step
            continue
        columns = max(2, int(width / (11 + 5 * share)))
        pane = width / columns * 0.5
        for column in range(columns):
            if style == "strips" and column % 2:
                continue
            left = x + width * (column + 0.25) / columns
            on = study.chance(lit)
            if on or study.chance(0.5):
                colour = study.dice.choice(colours) if on else dim
                canvas.mark(
                    left, y, left + pane, y + step * 0.5, mix(wall, colour, 0.9 if on else 1)
                )
        y += step


def _river(study: Study, bank: float, sun_x: float, radius: float) -> None:
    canvas, palette = study.canvas, study.palette
    canvas.mirror(bank, canvas.h - bank + 1, palette.water, 0.72)
    canvas.plain(
        [(0, bank - 6), (canvas.w, bank - 6), (canvas.w, bank + 6), (0, bank + 6)], palette.dark
    )
    depth = canvas.h - bank
    for _ in range(int(130 * canvas.w / 1000)):
        share = study.dice.random()
        colour = mix(palette.water, study.dice.choice((palette.ripple, palette.dark)), 0.6)
        canvas.dash(
            study.between(0, canvas.w),
            bank + 12 + share * depth,
            study.between(20, 110),
            1.8 + 3 * share,
            colour,
        )
    elements.glints(study, 0, canvas.w, bank + 6, depth * 0.85)
    elements.shine(study, sun_x, bank + 6, radius * 0.9)
    if study.chance(0.5) or study.wishes.has("bridge"):
        _bridge(study, bank)


def _bridge(study: Study, bank: float) -> None:
    """A suspension bridge near us."""
    canvas, palette = study.canvas, study.palette
    deck, top = bank + (canvas.h - bank) * 0.3, bank - canvas.h * 0.2
    colour = mix(palette.accent, palette.dark, 0.25 if not palette.night else 0.45)
    towers = (canvas.w * 0.22, canvas.w * 0.78)
    spans = ((-canvas.w * 0.34, towers[0]), towers, (towers[1], canvas.w * 1.34))
    for left, right in spans:
        middle, half = (left + right) / 2, (right - left) / 2
        points = []
        for step in range(41):
            t = step / 20 - 1
            y = deck - 26 + (top - deck + 26) * t * t
            points.append((middle + half * t, y))
        canvas.line(points, 5, colour)
        for point in points[1:-1:2]:
            canvas.line([point, (point[0], deck)], 1.8, colour)
    canvas.plain(
        [(-9, deck), (canvas.w + 9, deck), (canvas.w + 9, deck + 15), (-9, deck + 15)], colour
    )
    for x in towers:
        for side in (-13, 13):
            canvas.plain(
                [
                    (x + side - 5, top - 12),
                    (x + side + 5, top - 12),
                    (x + side + 7, deck + 70),
                    (x + side - 7, deck + 70),
                ],
                colour,
            )
        for share in (0.08, 0.36, 0.66):
            y = top + (deck - top) * share
            canvas.plain([(x - 14, y), (x + 14, y), (x + 14, y + 10), (x - 14, y + 10)], colour)
