"""Cut paper in layers, like a canyon seen from above."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art.canvas import (
    Colour,
    Point,
    mix,
    smooth,
)
from creditapp.generation.providers.offline_art.study import Study, shade


def canyon(study: Study) -> None:
    """Sheets of paper with holes in them, one above the other, and a small sun at the bottom."""
    canvas, palette = study.canvas, study.palette
    low = study.wishes.has("bottom", "low", "deep")
    cx = canvas.w * study.between(0.4, 0.6)
    cy = canvas.h * (study.between(0.6, 0.68) if low else study.between(0.42, 0.58))
    levels = 8
    land = (palette.dark, palette.near, palette.mid, palette.far, palette.glow, palette.halo)
    air = (*palette.sky, palette.halo)
    if palette.night:
        air = (palette.sky[0], palette.sky[2], palette.sky[4], palette.halo, palette.glow)
    warm = study.wishes.has("warm", "red", "orange", "earth")
    ramp = _ramp(land if warm or study.chance(0.4) else air, levels)
    corners = study.dice.choice((7, 8, 9, 11))
    reach = math.hypot(canvas.w, canvas.h) * 0.56
    start = study.between(0, math.tau)
    wobble = [study.between(-1, 1) for _ in range(corners)]
    canvas.fill(ramp[0])
    casts, canvas.casts_shadows = canvas.casts_shadows, False
    for level in range(1, levels):
        share = level / levels
        size = reach * (1 - share) ** 0.82 * 0.98
        shape: list[Point] = []
        for corner in range(corners):
            a = start + corner / corners * math.tau + level * study.between(0.01, 0.06)
            wild = 1 + 0.17 * wobble[corner] + study.between(-0.12, 0.12)
            far = size * wild
            shape.append((cx + math.cos(a) * far, cy + math.sin(a) * far * 0.94))
        _sink(study, smooth(shape, 14), ramp[level])
    radius = reach * study.between(0.075, 0.1)
    canvas.casts_shadows = casts
    canvas.disc(cx + study.between(-14, 14), cy + study.between(-8, 20), radius, palette.accent)


def _sink(study: Study, shape: list[Point], colour: Colour) -> None:
    """Cut a hole: the sheet above throws its shadow on the one that shows."""
    from PIL import Image, ImageDraw, ImageFilter

    canvas = study.canvas
    coarse = 4
    size = (canvas.image.size[0] // coarse, canvas.image.size[1] // coarse)
    k = canvas.scale / coarse
    hole = Image.new("L", size)
    ImageDraw.Draw(hole).polygon([(x * k, y * k) for x, y in shape], fill=255)
    canvas.plain(shape, colour)
    moved = Image.new("L", size, 255)
    lit = Image.new("L", size)
    ImageDraw.Draw(lit).polygon([((x + 7) * k, (y + 15) * k) for x, y in shape], fill=255)
    moved.paste(0, (0, 0), lit)
    shadow = moved.filter(ImageFilter.GaussianBlur(16 * k)).point(
        [round(v * 0.62) for v in range(256)]
    )
    inside = Image.new("L", size)
    inside.paste(shadow, (0, 0), hole)
    mask = inside.resize(canvas.image.size, Image.Resampling.BILINEAR)
    canvas.image.paste(shade(study.palette.dark, study.palette, 0.5), (0, 0), mask)


def _ramp(stops: tuple[Colour, ...], count: int) -> list[Colour]:
    colours = []
    for index in range(count):
        place = index / (count - 1) * (len(stops) - 1)
        low = min(int(place), len(stops) - 2)
        colours.append(mix(stops[low], stops[low + 1], place - low))
    return colours
