"""A still life: a vase, fruit and a cup on a table, light from one side."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art.canvas import (
    Colour,
    Point,
    mix,
    open_curve,
    path,
    smooth,
)
from creditapp.generation.providers.offline_art.scenes.creatures import leaf
from creditapp.generation.providers.offline_art.scenes.furniture import cup
from creditapp.generation.providers.offline_art.scenes.meadow import blossom
from creditapp.generation.providers.offline_art.study import Study, light, shade


def still(study: Study) -> None:
    """A vase with branches, fruit and a cup on a table, light from one side."""
    canvas, palette = study.canvas, study.palette
    table = canvas.h * 0.74
    wall = mix(palette.sky[2], palette.pale, 0.25) if not palette.night else palette.sky[1]
    canvas.fill(wall)
    x = canvas.w * study.between(0.36, 0.64)
    arch = min(canvas.w, canvas.h) * 0.4
    top = table - arch * 0.85
    turns = (math.pi + math.pi * n / 48 for n in range(49))
    vault = [(x + math.cos(a) * arch, top + math.sin(a) * arch) for a in turns]
    points = [(x - arch, table), *vault, (x + arch, table)]
    canvas.cut(
        points,
        mix(palette.sky[4], palette.halo, 0.35) if not palette.night else palette.sky[3],
        0.9,
    )
    canvas.disc(
        x + arch * study.between(-0.3, 0.3),
        top - arch * 0.1,
        arch * 0.34,
        palette.accent if study.chance(0.5) else palette.disc,
    )
    cloth = shade(palette.far, palette, 0.12) if not palette.night else palette.near
    canvas.cut(
        [(-9, table), (canvas.w + 9, table), (canvas.w + 9, canvas.h + 9), (-9, canvas.h + 9)],
        cloth,
        0.7,
    )
    canvas.block(-9, table, canvas.w + 9, table + 16, light(cloth, palette, 0.2))
    unit = min(canvas.w, canvas.h) * 0.2
    side = study.dice.choice((-1, 1))
    _vase(study, x - side * unit * 0.5, table + unit * 0.42, unit)
    fruit = _fruit_colours(study)
    spots = path("1.1,0.4 1.62,0.5 1.36,0.72 0.66,0.66")
    for number, (px, py) in enumerate(spots):
        _fruit(
            study,
            x + side * unit * px,
            table + unit * py,
            unit * study.between(0.24, 0.3),
            fruit[number % len(fruit)],
        )
    if study.wishes.has("coffee", "tea", "cup", "mug", "breakfast") or study.chance(0.4):
        big = study.wishes.has("coffee", "tea", "cup", "mug")
        cup_x = min(max(x - side * unit * 1.6, unit * 0.8), canvas.w - unit * 1.1)
        canvas.oval(
            cup_x,
            table + unit * 0.62,
            unit * (0.72 if big else 0.56),
            unit * 0.12,
            shade(palette.pale, palette, 0.12),
        )
        cup(study, cup_x, table + unit * 0.6, unit * (0.62 if big else 0.45))


def _fruit_colours(study: Study) -> list[Colour]:
    palette = study.palette
    if study.wishes.has("lemon"):
        return [palette.second, mix(palette.second, palette.glow, 0.5)]
    if study.wishes.has("apple"):
        return [palette.accent, mix(palette.accent, palette.second, 0.4)]
    return [
        palette.second,
        palette.accent,
        mix(palette.accent, palette.glow, 0.5),
        mix(palette.mid, palette.second, 0.5),
    ]


def _fruit(study: Study, x: float, y: float, size: float, colour: Colour) -> None:
    canvas, palette = study.canvas, study.palette
    canvas.oval(
        x + size * 0.3, y + size * 0.86, size * 1.15, size * 0.2, shade(palette.far, palette, 0.4)
    )
    canvas.disc(x, y, size, colour)
    outline, canvas.outline = canvas.outline, None
    points = [
        (x + math.cos(a) * size, y + math.sin(a) * size)
        for a in (-0.9 + 2.9 * n / 24 for n in range(25))
    ]
    inner = [
        (x + size * 0.1 + math.cos(a) * size * 0.72, y - size * 0.04 + math.sin(a) * size * 0.82)
        for a in (2.0 - 2.9 * n / 24 for n in range(25))
    ]
    canvas.plain([*points, *inner], shade(colour, palette, 0.2))
    canvas.oval(
        x - size * 0.36, y - size * 0.4, size * 0.16, size * 0.1, light(colour, palette, 0.55), -0.7
    )
    canvas.outline = outline
    canvas.line([(x, y - size * 0.9), (x + size * 0.1, y - size * 1.2)], size * 0.1, palette.dark)
    leaf(
        canvas,
        (x + size * 0.08, y - size * 1.1),
        (x + size * 0.62, y - size * 1.34),
        size * 0.14,
        palette.near,
        palette.ripple,
    )


def _vase(study: Study, x: float, foot: float, unit: float) -> None:
    canvas, palette = study.canvas, study.palette
    glaze = study.dice.choice((palette.water, palette.pale, palette.near))
    neck = foot - unit * 1.5
    _branches(study, x, neck, unit)

    def at(px: float, py: float) -> Point:
        return (x + px * unit, foot + py * unit)

    canvas.oval(*at(0.3, -0.01), unit * 0.6, unit * 0.09, shade(palette.far, palette, 0.4))
    body = path(
        "-0.2,-1.5 -0.16,-1.24 -0.5,-0.8 -0.44,-0.2 -0.24,0 0.24,0 0.44,-0.2 0.5,-0.8 "
        "0.16,-1.24 0.2,-1.5"
    )
    canvas.cut(smooth([at(*p) for p in body], 8), glaze, 0.6)
    outline, canvas.outline = canvas.outline, None
    side = path("0.1,-1.4 0.16,-1.24 0.5,-0.8 0.44,-0.2 0.24,-0.01 0.06,-0.01 0.22,-0.5")
    canvas.plain(smooth([at(*p) for p in side], 8), shade(glaze, palette, 0.2))
    for share in (0.62, 0.7):
        canvas.block(*at(-0.49, -share), *at(0.49, -share - 0.035), palette.accent)
    canvas.outline = outline


def _branches(study: Study, x: float, neck: float, unit: float) -> None:
    """What stands in the vase: twigs alone, or flowers between them."""
    canvas, palette = study.canvas, study.palette
    kind = study.dice.choice(("daisy", "poppy", "tulip", "twig", "twig"))
    for number in range(9):
        a = (number / 8 - 0.5) * 1.7 + study.between(-0.08, 0.08)
        long = unit * study.between(1.1, 1.9)
        tip = (x + math.sin(a) * long, neck - math.cos(a) * long)
        green = study.dice.choice((palette.near, mix(palette.near, palette.water, 0.4)))
        middle = (x + math.sin(a) * long * 0.34, neck - long * 0.5)
        stem = open_curve([(x, neck + 20), middle, tip], 9)
        canvas.line(stem, unit * 0.022, green)
        if kind != "twig" and number % 2 == 0:
            blossom(study, *tip, unit * 0.26, kind)
            continue
        for px, py in stem[6::2]:
            for turn in (-0.9, 0.9):
                reach = unit * 0.26
                end = (px + math.sin(a + turn) * reach, py - math.cos(a + turn) * reach)
                leaf(canvas, (px, py), end, unit * 0.06, green, palette.ripple)
