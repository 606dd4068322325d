"""What scenes share: sky, sun and moon, clouds, stars, birds, water and what shines on it."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art.canvas import mix, path
from creditapp.generation.providers.offline_art.study import Study, light, shade, waves


def sky(study: Study, horizon: float, *, wavy: float = 16) -> None:
    """Fill the sky down to the horizon with bands, or with a gradient where light is soft."""
    canvas, bands = study.canvas, study.palette.sky
    canvas.fill(bands[0])
    if study.soft:
        canvas.gradient(0, horizon + 40, bands)
        canvas.mark(0, horizon + 30, canvas.w + 2, canvas.h + 2, bands[-1])
        return
    top = horizon * study.between(0.16, 0.26)
    for index, colour in enumerate(bands[1:], 1):
        share = (index - 1) / (len(bands) - 1)
        edge = top + (horizon - top) * share**0.9
        outline, canvas.outline = canvas.outline, None
        canvas.below(waves(study, edge, wavy, canvas.w * study.between(0.7, 1.3)), colour)
        canvas.outline = outline


def sun(study: Study, x: float, y: float, radius: float) -> None:
    """Draw the sun with a ring of light, or at night the moon."""
    canvas, palette = study.canvas, study.palette
    if study.soft:
        canvas.glow(x, y, radius * 4.6, palette.halo, 0.75)
        canvas.glow(x, y, radius * 2.2, palette.disc, 0.8)
    if palette.night:
        if not study.soft:
            canvas.disc(x, y, radius * 1.3, mix(palette.sky[2], palette.halo, 0.13))
        canvas.disc(x, y, radius, palette.disc)
        outline, canvas.outline = canvas.outline, None
        spot = mix(palette.disc, palette.halo, 0.55)
        for dx, dy, size in ((-0.35, -0.2, 0.22), (0.25, 0.3, 0.28), (0.3, -0.4, 0.12)):
            canvas.disc(x + dx * radius, y + dy * radius, size * radius, spot)
        canvas.outline = outline
        return
    if not study.soft:
        canvas.disc(x, y, radius * 1.26, palette.halo)
    canvas.disc(x, y, radius, palette.disc)


def stars(study: Study, bottom: float, count: int = 90) -> None:
    """Scatter stars over the upper sky, fewer towards the horizon."""
    canvas, palette = study.canvas, study.palette
    if study.wishes.has("aurora", "northern"):
        aurora(study, bottom)
    for _ in range(count):
        x, y = study.between(0, canvas.w), bottom * study.dice.random() ** 1.5
        size = study.dice.choice((1.1, 1.1, 1.6, 1.6, 2.4))
        canvas.disc(x, y, size, mix(palette.sky[1], palette.disc, study.between(0.45, 1)))
    for _ in range(max(2, count // 22)):
        x, y, size = study.between(0, canvas.w), study.between(0, bottom * 0.7), 8.0
        thin = 1.1
        spark = [
            (x, y - size), (x + thin, y - thin), (x + size, y), (x + thin, y + thin),
            (x, y + size), (x - thin, y + thin), (x - size, y), (x - thin, y - thin),
        ]  # fmt: skip
        canvas.plain(spark, palette.disc)


def aurora(study: Study, bottom: float) -> None:
    """Hang curtains of northern light into the sky, brightest at their hems."""
    canvas, palette = study.canvas, study.palette
    folds = 6
    xs = [canvas.w * n / 160 for n in range(161)]
    for number, colour in enumerate(((150, 120, 220), (70, 190, 190), (92, 220, 160))):
        hem = waves(study, bottom * (0.34 + 0.13 * number), bottom * 0.09, canvas.w * 0.55)
        tops = waves(study, bottom * 0.3, bottom * 0.1, canvas.w * 0.16)
        for fold in range(folds):
            share = 1 - fold / folds
            upper = [(x, hem(x) - tops(x) * share) for x in xs]
            tint = mix(palette.sky[1], colour, 0.12 + 0.62 * (fold / folds) ** 1.3)
            canvas.plain([*upper, *((x, hem(x)) for x in reversed(xs))], tint)


def balloon(study: Study, x: float, y: float, size: float) -> None:
    """Draw a hot-air balloon in stripes."""
    canvas, palette = study.canvas, study.palette
    inks = [palette.accent, palette.pale, palette.second]
    study.dice.shuffle(inks)
    top, widest = y - size, size * 0.8
    for number, share in enumerate((1.0, 0.72, 0.4, 0.12)):
        half = widest * share
        envelope = path(
            "0,0 0.75,0.2 1,0.75 0.62,1.3 0.24,1.62 -0.24,1.62 -0.62,1.3 -1,0.75 -0.75,0.2"
        )
        outline = [(x + px * half, top + py * size) for px, py in envelope]
        canvas.blob(outline, inks[number % 2])
    basket = top + size * 1.95
    for side in (-1, 1):
        foot = (x + side * size * 0.13, basket)
        canvas.line([(x + side * size * 0.18, top + size * 1.6), foot], 1.8, palette.dark)
    canvas.rect(x - size * 0.15, basket, x + size * 0.15, basket + size * 0.2, palette.dark)


def clouds(study: Study, top: float, bottom: float, count: int) -> None:
    """Lay long flat clouds of rounded strokes across the sky."""
    canvas, palette = study.canvas, study.palette
    for _ in range(count):
        x, y = study.between(-0.05, 1.05) * canvas.w, study.between(top, bottom)
        low = (y - top) / max(bottom - top, 1)
        base = palette.sky[min(int(low * 3) + 1, 4)]
        colour = mix(base, palette.sky[0] if palette.night else palette.disc, 0.4)
        length, thick = study.between(150, 330), study.between(11, 17)
        for row in range(study.dice.choice((2, 3, 3, 4))):
            shift = study.between(-0.25, 0.25) * length
            canvas.dash(x + shift, y + row * thick * 0.96, length, thick, colour)
            length *= study.between(0.62, 1.15)


def birds(study: Study, x: float, y: float, count: int, size: float = 15) -> None:
    """Draw a loose flock far away."""
    canvas = study.canvas
    colour = study.palette.pale if study.palette.night else study.palette.dark
    for index in range(count):
        bx = x + index * size * 2.2 + study.between(-16, 16)
        by = y + abs(index - count / 2) * size * 0.8 + study.between(-16, 16)
        span = size * study.between(0.7, 1.15)
        lift = span * study.between(0.3, 0.5)
        canvas.line(
            [(bx - span, by - lift), (bx - span * 0.4, by - lift * 1.05), (bx, by)], 2.6, colour
        )
        canvas.line(
            [(bx, by), (bx + span * 0.4, by - lift * 1.05), (bx + span, by - lift)], 2.6, colour
        )


def water(study: Study, top: float, bottom: float | None = None) -> None:
    """Fill the water from its far shore down, darker towards us, with strokes that grow nearer."""
    canvas, palette = study.canvas, study.palette
    bottom = canvas.h if bottom is None else bottom
    near = shade(palette.water, palette, 0.35)
    if study.soft:
        canvas.gradient(
            top, bottom + 2, (mix(palette.water, palette.horizon, 0.4), palette.water, near)
        )
    else:
        canvas.plain([(0, top), (canvas.w, top), (canvas.w, bottom), (0, bottom)], palette.water)
        depth = bottom - top
        for share in (0.42, 0.74):
            edge = waves(study, top + depth * share, 5, 260)
            outline, canvas.outline = canvas.outline, None
            xs = [canvas.w * n / 80 for n in range(81)]
            line = [(x, edge(x)) for x in xs]
            canvas.plain([*line, (canvas.w, bottom), (0, bottom)], mix(palette.water, near, share))
            canvas.outline = outline
    strokes = int(170 * canvas.w / 1000)
    for _ in range(strokes):
        share = study.dice.random() ** 1.25
        y = top + 5 + share * (bottom - top - 5)
        colour = palette.ripple if study.chance(0.6) else near
        colour = mix(palette.water, colour, 0.35 + 0.5 * share)
        canvas.dash(
            study.between(0, canvas.w),
            y,
            study.between(16, 90) * (0.45 + share),
            1.6 + 3.2 * share,
            colour,
        )


def shine(study: Study, x: float, top: float, width: float, bottom: float | None = None) -> None:
    """Lay the sun's path on the water: strokes that spread and thin out towards us."""
    canvas, palette = study.canvas, study.palette
    bottom = canvas.h if bottom is None else bottom
    colours = (
        palette.disc,
        palette.disc,
        palette.halo,
        palette.glow,
        mix(palette.glow, palette.accent, 0.45),
    )
    y, step = top + 4, 5.0
    while y < bottom:
        share = (y - top) / (bottom - top)
        reach = width * (0.55 + 0.75 * share)
        for _ in range(1 if share < 0.1 else 3):
            if study.chance(1.0 - 0.45 * share):
                length = study.between(0.25, 0.95) * reach * (1 - 0.55 * share)
                at = x + study.dice.gauss(0, 0.3) * reach * (0.3 + share)
                thick = 3.0 + 2.6 * share
                canvas.dash(
                    at, y + study.between(-1.5, 1.5), length, thick, study.dice.choice(colours)
                )
        y += step
        step *= 1.045


def glints(study: Study, x0: float, x1: float, top: float, reach: float) -> None:
    """Lay the lit windows' light on the water below them."""
    canvas, palette = study.canvas, study.palette
    colours = (palette.glow, palette.glow, mix(palette.glow, palette.accent, 0.5))
    for _ in range(int((x1 - x0) / 9)):
        share = study.dice.random() ** 1.6
        canvas.dash(
            study.between(x0, x1),
            top + 6 + share * reach,
            study.between(8, 42) * (0.6 + share),
            2.4 + 1.8 * share,
            mix(study.dice.choice(colours), palette.water, 0.25 + 0.5 * share),
        )


def rain(study: Study, count: int = 130) -> None:
    """Draw slanting rain over everything."""
    canvas = study.canvas
    colour = mix(study.palette.sky[2], study.palette.pale, 0.55)
    for _ in range(count):
        x, y = study.between(-40, canvas.w), study.between(-40, canvas.h)
        length = study.between(20, 52)
        canvas.line([(x, y), (x + length * 0.22, y + length)], 1.5, colour)


def snowfall(study: Study, count: int = 110) -> None:
    """Let it snow over everything."""
    canvas = study.canvas
    for _ in range(count):
        size = study.dice.choice((1.6, 2.2, 2.2, 3.0, 4.2))
        canvas.disc(
            study.between(0, canvas.w), study.between(0, canvas.h), size, study.palette.pale
        )


def weather(study: Study) -> None:
    """Add the rain or the snow that the prompt names."""
    if study.wishes.has("rain", "rainy", "storm", "stormy"):
        rain(study)
    elif study.wishes.has("snow", "snowy", "snowing"):
        snowfall(study)


def pine(study: Study, x: float, foot: float, height: float, share: float) -> None:
    """Draw a pine of ``height`` whose colour lies at ``share`` of the distance."""
    canvas, palette = study.canvas, study.palette
    colour = palette.land(share)
    width = height * study.between(0.3, 0.4)
    canvas.plain(
        [
            (x - 2, foot - height * 0.2),
            (x + 2, foot - height * 0.2),
            (x + 2.5, foot),
            (x - 2.5, foot),
        ],
        shade(colour, palette, 0.5),
    )
    tiers = 4
    lit = light(colour, palette, 0.12)
    for tier in range(tiers):
        top = foot - height * (0.34 + 0.22 * tier) - height * 0.12
        base = foot - height * (0.08 + 0.2 * tier)
        half = width * (0.5 - 0.1 * tier)
        canvas.plain([(x, top), (x + half, base), (x - half, base)], colour)
        canvas.plain([(x, top), (x + half, base), (x + half * 0.15, base - half * 0.1)], lit)


def tree(study: Study, x: float, foot: float, height: float, share: float) -> None:
    """Draw a round tree."""
    canvas, palette = study.canvas, study.palette
    colour = palette.land(share)
    canvas.line([(x, foot), (x, foot - height * 0.5)], height * 0.045, shade(colour, palette, 0.6))
    crown = height * 0.3
    points = []
    for step in range(9):
        a = step / 9 * math.tau
        reach = crown * study.between(0.85, 1.12)
        points.append((x + math.cos(a) * reach, foot - height * 0.66 + math.sin(a) * reach * 1.1))
    canvas.blob(points, colour)
