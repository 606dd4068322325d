"""A planet, its moons and its ring over the ground of another world."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import (
    Point,
    mix,
    path,
    smooth,
)
from creditapp.generation.providers.offline_art.study import Study, light, shade, waves


def space(study: Study) -> None:
    """A ringed planet and its moons over the ground of another world."""
    canvas, palette = study.canvas, study.palette
    canvas.fill(palette.sky[0])
    for index, size in enumerate((1.05, 0.82, 0.6, 0.4)):
        radius = math.hypot(canvas.w, canvas.h) * size * 0.62
        outline, canvas.outline = canvas.outline, None
        canvas.disc(
            canvas.w * 0.5,
            canvas.h * 1.02,
            radius,
            mix(palette.sky[0], palette.sky[min(index + 1, 4)], 0.55),
        )
        canvas.outline = outline
    elements.stars(study, canvas.h * 0.95, 170)
    radius = min(canvas.w, canvas.h) * study.between(0.19, 0.26)
    x, y = canvas.w * study.between(0.32, 0.68), canvas.h * study.between(0.34, 0.46)
    _planet(study, x, y, radius, ring=study.chance(0.75) or study.wishes.has("saturn", "ring"))
    for _ in range(study.dice.choice((1, 2, 3))):
        a, far = study.between(math.pi, math.tau), radius * study.between(1.7, 2.3)
        moon_x, moon_y, size = (
            x + math.cos(a) * far,
            y + math.sin(a) * far * 0.6,
            radius * study.between(0.1, 0.22),
        )
        canvas.disc(moon_x, moon_y, size, palette.pale)
        canvas.oval(
            moon_x + size * 0.3,
            moon_y,
            size * 0.6,
            size * 0.92,
            mix(palette.pale, palette.sky[1], 0.35),
        )
    if study.wishes.has("rocket", "spaceship", "astronaut") or study.chance(0.35):
        side = -1 if x > canvas.w / 2 else 1
        _rocket(study, x + side * radius * 1.5, canvas.h * study.between(0.62, 0.7), radius * 0.62)
    for share, base in path("0.2,0.78 0.6,0.86 1,0.93"):
        colour = mix(palette.sky[3], palette.dark, 0.25 + 0.6 * share)
        line = waves(study, canvas.h * base, 26, canvas.w * 0.5)
        canvas.below(line, colour)
        for _ in range(4):
            cx, wide = study.between(0, canvas.w), study.between(30, 90) * (0.5 + share)
            cy = line(cx) + study.between(24, 60)
            canvas.oval(cx, cy, wide, wide * 0.24, shade(colour, palette, 0.4))
            canvas.oval(cx, cy + wide * 0.05, wide * 0.88, wide * 0.18, light(colour, palette, 0.1))


def _planet(study: Study, x: float, y: float, radius: float, *, ring: bool) -> None:
    from PIL import Image, ImageDraw

    canvas, palette = study.canvas, study.palette
    tilt = study.between(-0.45, -0.15) * study.dice.choice((-1, 1))
    colours = (palette.accent, palette.second, palette.glow, mix(palette.accent, palette.pale, 0.4))
    k, side = canvas.scale, round(radius * 2 * canvas.scale)
    face = Image.new("RGB", (side, side), colours[0])
    pen = ImageDraw.Draw(face)
    top = 0.0
    while top < 1:
        thick = study.between(0.05, 0.17)
        pen.rectangle((0, top * side, side, (top + thick) * side), fill=study.dice.choice(colours))
        top += thick
    spot = study.between(0.3, 0.65)
    pen.ellipse((spot * side, 0.55 * side, (spot + 0.2) * side, 0.65 * side), fill=palette.pale)
    face = face.rotate(-math.degrees(tilt), resample=Image.Resampling.BICUBIC, fillcolor=colours[0])
    night = Image.new("L", (side, side))
    pen = ImageDraw.Draw(night)
    pen.ellipse((0, 0, side, side), fill=120)
    pen.ellipse((-side * 0.22, -side * 0.12, side * 0.8, side * 0.92), fill=0)
    face.paste(palette.sky[0], (0, 0), night)
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    if ring:
        _ring(study, x, y, radius, tilt, front=False)
    canvas.image.paste(face, (round((x - radius) * k), round((y - radius) * k)), mask)
    if ring:
        _ring(study, x, y, radius, tilt, front=True)


def _ring(study: Study, x: float, y: float, radius: float, tilt: float, *, front: bool) -> None:
    canvas, palette = study.canvas, study.palette
    cos, sin = math.cos(tilt), math.sin(tilt)
    for size, width, colour in (
        (1.42, 0.035, palette.glow),
        (1.6, 0.1, palette.pale),
        (1.78, 0.03, palette.halo),
    ):
        points = []
        for step in range(61):
            a = math.pi * step / 60 + (0 if front else math.pi)
            dx, dy = math.cos(a) * radius * size, math.sin(a) * radius * size * 0.24
            points.append((x + dx * cos - dy * sin, y + dx * sin + dy * cos))
        canvas.line(points, radius * width, mix(colour, palette.sky[1], 0.0 if front else 0.35))


def _rocket(study: Study, x: float, y: float, size: float) -> None:
    canvas, palette = study.canvas, study.palette
    tilt = 0.5 if x < canvas.w / 2 else -0.5
    cos, sin = math.cos(tilt), math.sin(tilt)

    def at(px: float, py: float) -> Point:
        return (x + (px * cos - py * sin) * size, y + (px * sin + py * cos) * size)

    canvas.blob([at(0, 0.5), at(0.1, 0.72), at(0, 1.15), at(-0.1, 0.72)], palette.glow)
    canvas.blob([at(0, 0.5), at(0.06, 0.66), at(0, 0.9), at(-0.06, 0.66)], palette.accent)
    for side in (-1, 1):
        canvas.poly(
            [at(side * 0.1, 0.18), at(side * 0.3, 0.58), at(side * 0.12, 0.5)], palette.accent
        )
    body = smooth(
        [
            at(0, -0.62),
            at(0.16, -0.25),
            at(0.17, 0.2),
            at(0.1, 0.52),
            at(-0.1, 0.52),
            at(-0.17, 0.2),
            at(-0.16, -0.25),
        ],
        8,
    )
    canvas.poly(body, palette.pale)
    canvas.poly(
        smooth([at(0, -0.62), at(0.12, -0.36), at(0, -0.3), at(-0.12, -0.36)], 8), palette.accent
    )
    canvas.disc(*at(0, -0.08), size * 0.09, palette.dark)
    canvas.disc(*at(0, -0.08), size * 0.06, palette.ripple)
