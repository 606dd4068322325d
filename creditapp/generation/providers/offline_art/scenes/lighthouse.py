"""A lighthouse on its cliff above the sea."""

from __future__ import annotations

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, Point, mix
from creditapp.generation.providers.offline_art.scenes.waterside import sailing_boat
from creditapp.generation.providers.offline_art.study import Study, light, shade, waves


def lighthouse(study: Study) -> None:
    """A lighthouse on its cliff above a calm sea, its beam in the dark."""
    canvas, palette = study.canvas, study.palette
    horizon = canvas.h * study.between(0.6, 0.68)
    right = study.chance(0.5)
    side = 1 if right else -1
    x = canvas.w * (0.68 if right else 0.32) + study.between(-30, 30)
    sun_x = canvas.w * (0.3 if right else 0.7) + study.between(-40, 40)
    radius = study.between(66, 96)
    elements.sky(study, horizon)
    if palette.night:
        elements.stars(study, horizon * 0.85)
    elements.clouds(study, horizon * 0.2, horizon * 0.62, study.dice.choice((2, 3, 4)))
    elements.sun(study, sun_x, horizon - radius * study.between(0.3, 1.3), radius)
    canvas.below(waves(study, horizon - 10, 9, canvas.w * 0.6), palette.far)
    elements.water(study, horizon)
    elements.shine(study, sun_x, horizon, radius * 1.4)
    foot = horizon - study.between(70, 120)
    _cliff(study, x, foot, side, shift=-side * 170, low=70, colour=palette.mid)
    _cliff(study, x, foot, side, shift=0, low=0, colour=palette.near)
    _tower(study, x, foot + 8, canvas.h * study.between(0.33, 0.4), side)
    elements.birds(study, sun_x, horizon * study.between(0.3, 0.5), 4)
    sailing_boat(
        study,
        canvas.w - x + side * 60,
        horizon + (canvas.h - horizon) * 0.3,
        study.between(80, 120),
        palette.pale,
    )
    elements.weather(study)


def _cliff(
    study: Study, x: float, foot: float, side: int, *, shift: float, low: float, colour: Colour
) -> None:
    canvas, palette = study.canvas, study.palette
    edge = canvas.w + 40 if side > 0 else -40.0
    face = x + shift - side * study.between(130, 170)
    bottom = canvas.h * 0.93 if low == 0 else canvas.h * 0.8
    points: list[Point] = [(edge, foot + low - 30), (x + shift + side * 60, foot + low)]
    points += [(x + shift - side * 60, foot + low + 4), (face, foot + low + 40)]
    steps, here = 5, (face, foot + low + 40)
    for step in range(1, steps + 1):
        here = (
            face - side * (step * study.between(4, 26)),
            foot + low + 40 + (bottom - foot - low - 40) * step / steps,
        )
        points.append(here)
    points.append((edge, bottom + 60))
    canvas.cut(points, colour, 1.0)
    lit = light(colour, palette, 0.22)
    for step in range(7):
        # Basalt stands in columns; their lit sides face the sun.
        left = face + side * (12 + step * study.between(30, 44))
        top = foot + low + 44 - min(step, 4) * 6
        width = study.between(10, 20)
        deep = study.between(0.35, 0.85) * (bottom - top)
        canvas.plain(
            [
                (left, top),
                (left + width, top - 3),
                (left + width - 3, top + deep),
                (left + 3, top + deep),
            ],
            lit if step % 2 == 0 else shade(colour, palette, 0.4),
        )
    for _ in range(9):
        canvas.dash(
            here[0] - side * study.between(-30, 70),
            bottom - study.between(-8, 26),
            study.between(30, 90),
            5,
            palette.pale,
        )


def _tower(study: Study, x: float, foot: float, height: float, side: int) -> None:
    canvas, palette = study.canvas, study.palette
    wide, slim = height * 0.115, height * 0.075
    top = foot - height
    lamp = (x, top - height * 0.07)
    if palette.night or study.palette.sky[0][0] < 90:
        for spread, share in ((0.16, 0.16), (0.09, 0.3)):
            beam = mix(palette.sky[2], palette.glow, share)
            reach = canvas.w * 0.9
            canvas.plain(
                [
                    lamp,
                    (x - side * reach, lamp[1] - reach * (spread + 0.1)),
                    (x - side * reach, lamp[1] + reach * (spread - 0.1)),
                ],
                beam,
            )
    body = [(x - wide, foot), (x - slim, top), (x + slim, top), (x + wide, foot)]
    canvas.cut(body, palette.pale, 0.8)
    for low, high in ((0.12, 0.32), (0.52, 0.72)):
        l0, l1 = wide + (slim - wide) * low, wide + (slim - wide) * high
        y0, y1 = foot - height * low, foot - height * high
        canvas.poly([(x - l0, y0), (x - l1, y1), (x + l1, y1), (x + l0, y0)], palette.accent)
    for share in (0.42, 0.82):
        canvas.mark(
            x - 5, foot - height * share - 9, x + 5, foot - height * share + 9, palette.dark
        )
    canvas.rect(x - slim * 1.5, top - 8, x + slim * 1.5, top + 4, palette.dark)
    canvas.rect(x - slim * 0.8, top - height * 0.12, x + slim * 0.8, top - 8, palette.glow)
    canvas.line([(x, top - 8), (x, top - height * 0.12)], 3, palette.dark)
    canvas.poly(
        [
            (x - slim * 1.05, top - height * 0.12),
            (x, top - height * 0.19),
            (x + slim * 1.05, top - height * 0.12),
        ],
        palette.accent,
    )
    canvas.line([(x, top - height * 0.19), (x, top - height * 0.225)], 3, palette.dark)
    if study.soft:
        canvas.glow(lamp[0], lamp[1], height * 0.4, palette.glow, 0.7)
    home = x + side * height * 0.22
    canvas.cut(
        [
            (home - 44, foot + 6),
            (home - 44, foot - 34),
            (home + 44, foot - 34),
            (home + 44, foot + 6),
        ],
        mix(palette.pale, palette.far, 0.35),
        0.4,
    )
    canvas.poly(
        [
            (home - 54, foot - 32),
            (home - 20, foot - 66),
            (home + 34, foot - 66),
            (home + 54, foot - 32),
        ],
        palette.accent,
    )
    canvas.mark(home - 26, foot - 24, home - 12, foot - 6, palette.glow)
    canvas.mark(home + 10, foot - 24, home + 24, foot - 6, palette.glow)
