"""Image to image without a model: a picture printed anew in a few inks of one palette."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter, ImageOps

from creditapp.generation.providers.offline_art.canvas import Colour, luminance, mix
from creditapp.generation.providers.offline_art.palettes import Palette

SMOOTHING_SIDE = 640
"""The tones are found on a picture of this size; their edges are drawn at full size."""


def restyle(data: bytes, palette: Palette, width: int, height: int) -> Image.Image:
    """Return a picture of ``width`` x ``height`` that shows ``data`` in the palette's inks.

    ``data`` must be a picture that ``pictures.inspect`` lets pass. It is cropped to the shape
    asked for, never stretched.
    """
    with Image.open(io.BytesIO(data)) as opened:
        source = ImageOps.exif_transpose(opened).convert("RGB")
    source = ImageOps.fit(source, (width, height), Image.Resampling.LANCZOS)
    tones = ImageOps.autocontrast(source.convert("L"), cutoff=2)
    small = max(1.0, min(width, height) / SMOOTHING_SIDE)
    coarse = tones.resize((round(width / small), round(height / small)), Image.Resampling.BOX)
    coarse = coarse.filter(ImageFilter.MedianFilter(7)).filter(ImageFilter.GaussianBlur(1.2))
    tones = coarse.resize((width, height), Image.Resampling.BICUBIC)
    inks = _inks(palette)
    step = 256 / len(inks)
    printed = Image.new("RGB", (width, height), inks[0])
    for number, ink in enumerate(inks[1:], 1):
        edge = step * number
        # A ramp of a few levels instead of a step keeps the edge between two inks smooth.
        ramp = [max(0, min(255, round((value - edge + 1.5) * 85))) for value in range(256)]
        printed.paste(ink, (0, 0), tones.point(ramp))
    return printed


def _inks(palette: Palette) -> list[Colour]:
    """Return the palette's inks from the darkest to the lightest."""
    inks = {palette.dark, palette.near, palette.water, palette.accent, palette.far, palette.glow}
    ordered = sorted(inks, key=luminance)
    return [mix(ordered[0], (0, 0, 0), 0.15), *ordered[1:], palette.pale]
