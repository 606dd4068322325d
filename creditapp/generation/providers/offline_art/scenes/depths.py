"""Under the surface of the sea: a whale, or fish over a reef."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import (
    Point,
    mix,
    path,
    smooth,
)
from creditapp.generation.providers.offline_art.study import Study, shade, waves


def underwater(study: Study) -> None:
    """A whale in the deep, or a shoal where no whale is asked for."""
    canvas, palette = study.canvas, study.palette
    top = canvas.h * 0.26
    elements.sky(study, top)
    elements.sun(study, canvas.w * study.between(0.6, 0.8), top - 10, 80)
    shafts = [study.between(0.05, 0.95) * canvas.w for _ in range(5)]
    for row in range(6):
        share = row / 5
        colour = mix(palette.ripple, shade(palette.water, palette, 0.7), share)
        line = waves(study, top + (canvas.h - top) * share * 0.9, 15, canvas.w * 0.5)
        canvas.below(line, colour)
        # The next sheet covers what lies below its edge, so the light fades with the depth.
        tint = mix(colour, palette.pale, 0.16 * (1 - share))
        low = canvas.h * 0.8
        for x in shafts if row else []:
            start = line(x) + 24
            lean = (start - top) * 0.25
            if start < low:
                canvas.plain(
                    [(x - lean, start), (x + 34 - lean, start), (x - 90, low), (x - 190, low)], tint
                )
    if not study.wishes.has("whale"):
        _shoal(study, top)
        return
    cx, cy, size = canvas.w * 0.5, canvas.h * 0.58, min(canvas.w, canvas.h) * 0.42
    side = study.dice.choice((-1, 1))

    def at(px: float, py: float) -> Point:
        return (cx + side * px * size, cy + py * size)

    back = [
        at(*p)
        for p in path(
            "-0.9,0.08 -0.8,-0.2 -0.4,-0.36 0.1,-0.34 0.55,-0.16 0.84,-0.1 1.02,-0.3 "
            "1.16,-0.36 1.12,-0.16 1,-0.02 0.7,0.12 0.3,0.26 -0.3,0.32 -0.7,0.26"
        )
    ]
    canvas.cut(smooth(back), palette.dark, 1)
    belly = [at(*p) for p in path("-0.88,0.1 -0.5,0.1 0,0.14 0.36,0.22 0,0.3 -0.4,0.31 -0.72,0.25")]
    canvas.poly(smooth(belly), palette.pale)
    for number in range(5):
        y = 0.14 + number * 0.032
        canvas.line(
            [at(-0.82 + number * 0.04, y), at(0.05 - number * 0.05, y + 0.02)],
            2.4,
            mix(palette.pale, palette.water, 0.5),
        )
    canvas.poly(
        smooth([at(-0.2, 0.2), at(-0.02, 0.28), at(0.1, 0.56), at(-0.12, 0.44)]),
        mix(palette.dark, palette.water, 0.35),
    )
    canvas.disc(*at(-0.62, 0.04), size * 0.026, palette.pale)
    for _ in range(16):
        canvas.disc(
            study.between(0.05, 0.95) * canvas.w,
            study.between(top + 90, canvas.h),
            study.between(3, 10),
            mix(palette.ripple, palette.pale, 0.5),
        )


def _shoal(study: Study, top: float) -> None:
    """Striped fish over a reef."""
    canvas, palette = study.canvas, study.palette
    short = min(canvas.w, canvas.h)
    for share in (0.4, 1.0):
        for _ in range(int(13 * canvas.w / 1000)):
            x, tall = study.between(0, canvas.w), short * study.between(0.08, 0.24) * (0.6 + share)
            colour = mix(study.dice.choice(palette.inks[:3]), palette.water, 0.75 - 0.45 * share)
            for turn in (-0.5, -0.2, 0.1, 0.4):
                reach = tall * study.between(0.7, 1.0)
                tip = (x + math.sin(turn) * reach, canvas.h - math.cos(turn) * reach)
                canvas.line([(x, canvas.h + 9), tip], short * 0.016, colour)
                canvas.disc(*tip, short * 0.014, colour)
    for number in range(7):
        size = short * study.between(0.06, 0.1) * (2.2 if number == 6 else 1.0)
        x = canvas.w * (0.5 if number == 6 else study.between(0.1, 0.9))
        y = canvas.h * 0.55 if number == 6 else study.between(top + 120, canvas.h * 0.85)
        _fish(study, x, y, size, study.dice.choice((-1, 1)))


def _fish(study: Study, x: float, y: float, size: float, side: int) -> None:
    canvas, palette = study.canvas, study.palette

    def at(px: float, py: float) -> Point:
        return (x + side * px * size, y + py * size)

    colour = study.dice.choice(
        (palette.accent, palette.glow, mix(palette.accent, palette.glow, 0.5))
    )
    fin = shade(colour, palette, 0.25)
    canvas.poly(smooth([at(*p) for p in path("-0.7,0 -1.3,-0.5 -1.16,0 -1.3,0.5")]), fin)
    canvas.poly(smooth([at(*p) for p in path("-0.4,-0.4 0.1,-0.86 0.5,-0.4")]), fin)
    canvas.poly(smooth([at(*p) for p in path("-0.2,0.4 0.0,0.76 0.3,0.4")]), fin)
    body = path("-0.85,0 -0.4,-0.42 0.2,-0.56 0.75,-0.3 1.0,0.02 0.75,0.3 0.2,0.52 -0.4,0.38")
    canvas.poly(smooth([at(*p) for p in body]), colour)
    for stripe in (
        "-0.3,-0.42 -0.12,-0.48 -0.1,0.46 -0.28,0.42",
        "0.26,-0.52 0.44,-0.47 0.44,0.45 0.26,0.5",
    ):
        canvas.plain([at(*p) for p in path(stripe)], palette.pale)
    canvas.disc(*at(0.66, -0.08), size * 0.12, palette.pale)
    canvas.disc(*at(0.69, -0.08), size * 0.07, palette.dark)
