"""Animals: a head looking at us, made of few shapes, before a disc and some leaves."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import (
    Canvas,
    Colour,
    Point,
    mix,
    path,
    smooth,
)
from creditapp.generation.providers.offline_art.scenes import beasts, depths, wild
from creditapp.generation.providers.offline_art.study import Study, waves

_HEADS = {
    "cat": beasts.cat,
    "kitten": beasts.cat,
    "fox": wild.fox,
    "wolf": wild.fox,
    "dog": beasts.dog,
    "puppy": beasts.dog,
    "owl": wild.owl,
    "bear": wild.bear,
    "panda": wild.bear,
    "koala": wild.bear,
    "mouse": wild.bear,
    "rabbit": beasts.rabbit,
    "bunny": beasts.rabbit,
    "lion": wild.lion,
    "tiger": wild.lion,
    "robot": wild.robot,
    "penguin": wild.owl,
}


def animal(study: Study) -> None:
    """The animal that the prompt names, or one of those that we can draw."""
    words = study.wishes.words
    if study.wishes.has("whale", "fish"):
        depths.underwater(study)
        return
    if study.wishes.has("butterfly"):
        _butterfly(study)
        return
    if study.wishes.has("bird", "eagle", "hen", "parrot"):
        _bird(study)
        return
    named = next((word for word in words if word in _HEADS), "")
    kind = named or study.dice.choice(("cat", "fox", "owl", "bear", "rabbit", "lion"))
    canvas = study.canvas
    _backdrop(study)
    size = min(canvas.w, canvas.h) * 0.29
    _HEADS[kind](study, kind, canvas.w / 2, canvas.h * 0.49, size)
    _leaves(study)


def _backdrop(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    elements.sky(study, canvas.h * 0.95, wavy=22)
    if palette.night:
        elements.stars(study, canvas.h * 0.8, 110)
    elements.sun(study, canvas.w / 2, canvas.h * 0.46, min(canvas.w, canvas.h) * 0.33)
    for share, base in ((0.1, 0.72), (0.45, 0.82)):
        canvas.below(
            waves(study, canvas.h * base, 26, canvas.w * 0.7),
            mix(palette.land(share), palette.horizon, 0.3 * (1 - share)),
        )


def _leaves(study: Study) -> None:
    """Large leaves from the lower corners, in front of everything."""
    canvas, palette = study.canvas, study.palette
    colours = (
        palette.near,
        palette.dark,
        mix(palette.near, palette.water, 0.5),
        mix(palette.dark, palette.water, 0.35),
    )
    for side in (-1, 1):
        root = (canvas.w * (0.0 if side < 0 else 1.0), canvas.h + 20)
        for number in range(7):
            a = (0.12 + 0.2 * number) * 1.15
            long = min(canvas.w, canvas.h) * study.between(0.22, 0.34)
            start = (root[0] - side * (30 + number * 40), root[1] - 6)
            tip = (start[0] - side * math.sin(a - 0.6) * long, start[1] - math.cos(a - 0.6) * long)
            leaf(canvas, start, tip, long * 0.13, study.dice.choice(colours), palette.ripple)


def leaf(
    canvas: Canvas, start: Point, tip: Point, half: float, colour: Colour, rib: Colour
) -> None:
    """Draw a pointed leaf with its rib."""
    dx, dy = tip[0] - start[0], tip[1] - start[1]
    length = math.hypot(dx, dy) or 1
    nx, ny = -dy / length * half, dx / length * half
    points = []
    for side in (1, -1):
        for n in range(13) if side == 1 else range(12, -1, -1):
            t = n / 12
            bulge = math.sin(math.pi * t**0.8) * side
            points.append((start[0] + dx * t + nx * bulge, start[1] + dy * t + ny * bulge))
    canvas.poly(points, colour)
    canvas.line(
        [start, (start[0] + dx * 0.92, start[1] + dy * 0.92)],
        max(1.5, half * 0.1),
        mix(colour, rib, 0.35),
    )


def _butterfly(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    _backdrop(study)
    cx, cy, size = canvas.w / 2, canvas.h * 0.5, min(canvas.w, canvas.h) * 0.4
    for side in (-1, 1):
        for points, colour in (
            (
                path("0.03,-0.02 0.3,-0.62 0.86,-0.72 0.98,-0.36 0.6,0"),
                palette.accent,
            ),
            (path("0.03,0.02 0.5,0.06 0.76,0.34 0.54,0.7 0.24,0.5"), palette.second),
        ):
            wing = smooth([(cx + side * x * size, cy + y * size) for x, y in points])
            canvas.cut(wing, palette.dark, 0.8)
            middle = (sum(x for x, _ in points) / 5, sum(y for _, y in points) / 5)
            inner = [
                (
                    cx + side * (middle[0] + (x - middle[0]) * 0.8) * size,
                    cy + (middle[1] + (y - middle[1]) * 0.8) * size,
                )
                for x, y in points
            ]
            canvas.poly(smooth(inner), colour)
            spot = (cx + side * middle[0] * 1.12 * size, cy + middle[1] * 1.08 * size)
            canvas.disc(*spot, size * 0.11, palette.pale)
            canvas.disc(*spot, size * 0.055, palette.dark)
        canvas.line(
            [
                (cx, cy - size * 0.3),
                (cx + side * size * 0.12, cy - size * 0.5),
                (cx + side * size * 0.24, cy - size * 0.56),
            ],
            4,
            palette.dark,
        )
    canvas.oval(cx, cy, size * 0.045, size * 0.36, palette.dark)
    _leaves(study)


def _bird(study: Study) -> None:
    """A bird on a branch before the sun."""
    canvas, palette = study.canvas, study.palette
    _backdrop(study)
    size = min(canvas.w, canvas.h) * 0.36
    cx, cy = canvas.w * 0.5, canvas.h * 0.5
    side = study.dice.choice((-1, 1))

    def at(px: float, py: float) -> Point:
        return (cx + side * px * size, cy + py * size)

    canvas.line(
        [at(-1.9, 0.72), at(-0.6, 0.56), at(0.5, 0.52), at(1.9, 0.3)], size * 0.07, palette.dark
    )
    for number in range(8):
        share = -1.3 + number * 0.36
        if abs(share) > 0.45:
            start = at(share, 0.58 - share * 0.08)
            leaf(
                canvas,
                start,
                (start[0] + side * 60, start[1] + (70 if number % 2 else -80)),
                20,
                palette.near,
                palette.ripple,
            )
    tail = [at(-0.38, 0.24), at(-1.0, 0.66), at(-0.86, 0.76), at(-0.24, 0.44)]
    canvas.poly(tail, palette.dark)
    body = [
        at(*p)
        for p in path(
            "-0.42,0.2 -0.26,-0.12 0.06,-0.4 0.34,-0.5 0.56,-0.36 0.58,-0.1 0.44,0.28 "
            "0.12,0.5 -0.22,0.46"
        )
    ]
    canvas.cut(smooth(body), palette.accent, 0.9)
    canvas.poly(
        smooth([at(*p) for p in path("0.54,-0.1 0.44,0.28 0.14,0.48 0.04,0.3 0.26,0")]),
        palette.pale,
    )
    canvas.poly(
        smooth([at(*p) for p in path("-0.5,0.34 -0.3,-0.02 0.04,-0.12 0.14,0.12 -0.1,0.34")]),
        palette.dark,
    )
    for number in range(3):
        canvas.line(
            [
                at(-0.4 + number * 0.1, 0.24 - number * 0.06),
                at(-0.02 + number * 0.03, 0.08 - number * 0.05),
            ],
            3,
            palette.second,
        )
    canvas.poly([at(0.56, -0.34), at(0.82, -0.24), at(0.57, -0.18)], palette.second)
    canvas.disc(*at(0.38, -0.28), size * 0.05, palette.dark)
    canvas.disc(*at(0.395, -0.295), size * 0.016, palette.pale)
    for leg in (0.08, 0.2):
        canvas.line([at(leg, 0.46), at(leg, 0.55)], 5, palette.second)
