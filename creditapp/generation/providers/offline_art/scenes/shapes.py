"""Compositions without a horizon: tiles, arches, and circles that cross."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art.canvas import (
    Colour,
    Point,
    luminance,
    mix,
)
from creditapp.generation.providers.offline_art.study import Study, shade, waves


def abstract(study: Study) -> None:
    """Tiles of quarter circles, arches under a sun, or circles that cross."""
    study.dice.choice((_tiles, _arches, _circles))(study)


def _tiles(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    across = study.dice.choice((4, 5, 5, 6))
    side = min(canvas.w, canvas.h) / across
    columns, rows = round(canvas.w / side), round(canvas.h / side)
    wide, tall = canvas.w / columns, canvas.h / rows
    inks = palette.inks
    canvas.fill(palette.pale)
    before: Colour | None = None
    for row in range(rows):
        for column in range(columns):
            ground, figure = study.dice.sample(inks, 2)
            while ground == before:
                ground, figure = study.dice.sample(inks, 2)
            before = ground
            _tile(study, column * wide, row * tall, wide, tall, ground, figure)


def _tile(
    study: Study, x: float, y: float, w: float, h: float, ground: Colour, figure: Colour
) -> None:
    canvas = study.canvas
    canvas.rect(x, y, x + w + 1, y + h + 1, ground)
    third = study.dice.choice(study.palette.inks)
    kind = study.dice.choice(
        ("quarter", "quarter", "half", "leaf", "rings", "dots", "stripes", "disc")
    )
    if kind == "quarter":
        corner = study.dice.randrange(4)
        corner_x, corner_y = x + w * (corner % 2), y + h * (corner // 2)
        quarter = (0, 1, 3, 2)[corner]
        canvas.plain(_fan(corner_x, corner_y, w, h, quarter), figure)
        if study.chance(0.4):
            canvas.plain(_fan(corner_x, corner_y, w * 0.5, h * 0.5, quarter), third)
    elif kind == "half":
        down = study.dice.randrange(2)
        for number, colour in enumerate((figure, third)):
            base = y + h * (0.5 * number + 0.5 * down)
            canvas.plain(_half(x + w / 2, base, w / 2, h / 2 * (-1 if down else 1)), colour)
    elif kind == "leaf":
        points = _lens(x, y, w, h)
        if study.chance(0.5):
            points = [(2 * x + w - px, py) for px, py in points]
        canvas.plain(points, figure)
    elif kind == "rings":
        for number, colour in enumerate((figure, ground, third, ground)):
            size = 0.46 - 0.115 * number
            canvas.oval(x + w / 2, y + h / 2, w * size, h * size, colour)
    elif kind == "dots":
        for number in range(9):
            row, column = divmod(number, 3)
            place = (x + w * (column + 0.5) / 3, y + h * (row + 0.5) / 3)
            canvas.oval(*place, w * 0.09, h * 0.09, figure)
    elif kind == "stripes":
        for number in range(4):
            canvas.block(x, y + h * number / 4, x + w, y + h * (number + 0.5) / 4, figure)
    else:
        canvas.oval(x + w / 2, y + h / 2, w * 0.36, h * 0.36, figure)
        if study.chance(0.5):
            canvas.oval(x + w / 2, y + h / 2, w * 0.14, h * 0.14, third)


def _half(x: float, base: float, rx: float, ry: float) -> list[Point]:
    turns = (math.pi * n / 24 for n in range(25))
    return [(x + math.cos(a) * rx, base + math.sin(a) * ry) for a in turns]


def _lens(x: float, y: float, w: float, h: float) -> list[Point]:
    """Two arcs from one corner to the opposite one."""
    turns = [math.pi / 2 * n / 16 for n in range(17)]
    one = [(x + w * math.sin(a), y + h * (1 - math.cos(a))) for a in turns]
    other = [(x + w * (1 - math.cos(a)), y + h * math.sin(a)) for a in turns]
    return [*one, *reversed(other)]


def _fan(x: float, y: float, w: float, h: float, quarter: int) -> list[Point]:
    start = quarter * math.pi / 2
    arc = [
        (x + math.cos(start + a) * w, y + math.sin(start + a) * h)
        for a in (math.pi / 2 * n / 24 for n in range(25))
    ]
    return [(x, y), *arc]


def _arches(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    canvas.fill(palette.pale)
    canvas.below(lambda x: canvas.h * 0.78, mix(palette.pale, palette.halo, 0.6))
    sun_x = canvas.w * study.between(0.25, 0.75)
    canvas.disc(
        sun_x,
        canvas.h * study.between(0.22, 0.32),
        min(canvas.w, canvas.h) * study.between(0.12, 0.17),
        palette.accent,
    )
    ground = canvas.h * 0.86
    count = study.dice.choice((2, 3))
    for number in range(count):
        cx = canvas.w * (number + 0.5 + study.between(-0.12, 0.12)) / count
        outer = min(canvas.w / count * 0.62, canvas.h * 0.36) * study.between(0.8, 1.1)
        legs = canvas.h * study.between(0.05, 0.22)
        colours = list(palette.inks[:-1])
        study.dice.shuffle(colours)
        bands = study.dice.choice((4, 5))
        for band in range(bands + 1):
            radius = outer * (1 - band / (bands + 0.7))
            colour = palette.pale if band == bands else colours[band % len(colours)]
            top = ground - legs
            arc = [
                (cx + math.cos(a) * radius, top + math.sin(a) * radius)
                for a in (math.pi + math.pi * n / 40 for n in range(41))
            ]
            canvas.cut([(cx - radius, ground), *arc, (cx + radius, ground)], colour, 0.6)
    canvas.below(waves(study, ground, 6, canvas.w), shade(palette.near, palette, 0.1))
    for _ in range(study.dice.choice((1, 2, 2))):
        _twig(
            study,
            canvas.w * study.dice.choice((study.between(0.05, 0.16), study.between(0.84, 0.95))),
            ground + 30,
            canvas.h * study.between(0.3, 0.48),
        )


def _twig(study: Study, x: float, foot: float, height: float) -> None:
    canvas, palette = study.canvas, study.palette
    colour = mix(palette.near, palette.water, 0.3)
    lean = study.between(-0.12, 0.12) * height
    canvas.line([(x, foot), (x + lean, foot - height)], 4, colour)
    for number in range(9):
        share = 0.2 + 0.8 * number / 8
        px, py = x + lean * share, foot - height * share
        size = height * 0.15 * (1.15 - share * 0.7)
        for side in (-1, 1):
            canvas.oval(
                px + side * size * 0.8,
                py - size * 0.4,
                size * 0.85,
                size * 0.3,
                colour,
                -side * 0.6,
            )


def _circles(study: Study) -> None:
    """Circles, arcs and lines in balance, printed over one another."""
    from PIL import Image, ImageChops, ImageDraw

    canvas, palette = study.canvas, study.palette
    canvas.fill(palette.pale)
    k = canvas.scale
    inks = [ink for ink in palette.inks if luminance(ink) < 225]
    study.dice.shuffle(inks)
    spots = [(x, y) for x in (0.22, 0.5, 0.78) for y in (0.22, 0.5, 0.78)]
    study.dice.shuffle(spots)
    short = min(canvas.w, canvas.h)
    for number, (across, down) in enumerate(spots[:8]):
        radius = short * study.between(*((0.24, 0.31) if number < 2 else (0.07, 0.19)))
        x = (across + study.between(-0.09, 0.09)) * canvas.w
        y = (down + study.between(-0.09, 0.09)) * canvas.h
        layer = Image.new("RGB", canvas.image.size, (255, 255, 255))
        pen = ImageDraw.Draw(layer)
        colour = mix(inks[number % len(inks)], (255, 255, 255), 0.1)
        box = ((x - radius) * k, (y - radius) * k, (x + radius) * k, (y + radius) * k)
        kind = study.dice.choice(("disc", "disc", "half", "ring", "three"))
        start = study.dice.choice((0, 45, 90, 135, 180, 225, 270, 315))
        if kind == "half":
            pen.pieslice(box, start, start + 180, fill=colour)
        elif kind == "three":
            pen.pieslice(box, start, start + 270, fill=colour)
        else:
            pen.ellipse(box, fill=colour)
        if kind == "ring":
            inner = radius * 0.62
            pen.ellipse(
                ((x - inner) * k, (y - inner) * k, (x + inner) * k, (y + inner) * k),
                fill=(255, 255, 255),
            )
        canvas.image.paste(ImageChops.multiply(canvas.image, layer))
    lean = study.between(-0.9, 0.9)
    for number in range(study.dice.choice((3, 4, 5))):
        x, y = study.between(0.1, 0.9) * canvas.w, study.between(0.1, 0.9) * canvas.h
        a, reach = lean + (math.pi / 2 if number % 3 == 2 else 0), short * study.between(0.25, 0.62)
        dx, dy = math.cos(a) * reach / 2, math.sin(a) * reach / 2
        canvas.line(
            [(x - dx, y - dy), (x + dx, y + dy)], study.dice.choice((3.0, 3.0, 8.0)), palette.dark
        )
    for _ in range(study.dice.choice((4, 6))):
        x, y = study.between(0.06, 0.94) * canvas.w, study.between(0.06, 0.94) * canvas.h
        canvas.disc(
            x,
            y,
            study.dice.choice((7.0, 11.0, 19.0)),
            study.dice.choice((palette.dark, palette.accent)),
        )
