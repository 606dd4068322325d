"""The last steps of every preview: paper grain, the plate that says what it is, the file."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from functools import cache

from PIL import Image, ImageChops, ImageDraw, ImageFont, PngImagePlugin

SOFTWARE = "CreditApp offline preview"
GRAIN_SIDE = 512


def paper_grain(image: Image.Image, strength: int = 3) -> Image.Image:
    """Lay a fine, even grain over a picture; sparse, so that the file stays small."""
    tile = _grain(strength)
    sheet = Image.new("L", image.size)
    for x in range(0, image.size[0], GRAIN_SIDE):
        for y in range(0, image.size[1], GRAIN_SIDE):
            sheet.paste(tile, (x, y))
    return ImageChops.add(image, Image.merge("RGB", (sheet, sheet, sheet)), 1, -128)


@cache
def _grain(strength: int) -> Image.Image:
    noise = random.Random(1887).randbytes(GRAIN_SIDE * GRAIN_SIDE)  # noqa: S311  # art
    levels = [128] * 256
    for value in range(256):
        if value < 22:
            levels[value] = 128 - strength
        elif value >= 234:
            levels[value] = 128 + strength
    return Image.frombytes("L", (GRAIN_SIDE, GRAIN_SIDE), noise).point(levels)


def clouds(size: tuple[int, int], dice: random.Random, cells: int) -> Image.Image:
    """Return soft noise, ``cells`` of it along the short side, from 0 to 255."""
    k = cells / min(size)
    small = (max(2, round(size[0] * k)), max(2, round(size[1] * k)))
    noise = Image.frombytes("L", small, dice.randbytes(small[0] * small[1]))
    return noise.resize(size, Image.Resampling.BICUBIC)


def lighten(image: Image.Image, where: Image.Image, strength: float) -> Image.Image:
    """Lift a picture towards white where ``where`` is bright."""
    lift = where.point([round(v * strength * 0.5) for v in range(256)])
    return ImageChops.screen(image, Image.merge("RGB", (lift, lift, lift)))


def wander(image: Image.Image, dice: random.Random, reach: float) -> Image.Image:
    """Bend a picture by small random steps, as a hand would."""
    width, height = image.size
    cell = max(24, min(width, height) // 36)
    columns, rows = width // cell + 1, height // cell + 1
    nodes = [
        [
            (
                x * width / columns + (dice.uniform(-reach, reach) if 0 < x < columns else 0),
                y * height / rows + (dice.uniform(-reach, reach) if 0 < y < rows else 0),
            )
            for x in range(columns + 1)
        ]
        for y in range(rows + 1)
    ]
    mesh = []
    for y in range(rows):
        for x in range(columns):
            target = (
                round(x * width / columns), round(y * height / rows),
                round((x + 1) * width / columns), round((y + 1) * height / rows),
            )  # fmt: skip
            source = (*nodes[y][x], *nodes[y + 1][x], *nodes[y + 1][x + 1], *nodes[y][x + 1])
            mesh.append((target, source))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def halftone(light: Image.Image, cell: int) -> Image.Image:
    """Return a screen of round dots, black where ``light`` is dark, white where it is light."""
    tile = Image.new("L", (cell * 2, cell * 2))
    pen = ImageDraw.Draw(tile)
    for radius in range(cell, 0, -1):
        level = round(255 * (1 - radius / cell))
        for x, y in ((cell / 2, cell / 2), (cell * 1.5, cell * 1.5)):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=level)
    screen = Image.new("L", light.size)
    for x in range(0, light.size[0], cell * 2):
        for y in range(0, light.size[1], cell * 2):
            screen.paste(tile, (x, y))
    # The middle of a dot darkens first: light below its level is printed.
    total = ImageChops.add(
        light.point([round(v * 0.5 + 75) for v in range(256)]), ImageChops.invert(screen), 2
    )
    return total.point([max(0, min(255, (v - 110) * 14)) for v in range(256)])


def plate(image: Image.Image) -> None:
    """Set a small plate into the lower right corner that says that this is a preview."""
    size = max(11, round(min(image.size) * 0.017))
    samples = 3
    font = ImageFont.load_default(size * samples)
    left, top, right, bottom = font.getbbox("Preview")
    pad_x, pad_y = size * samples * 0.75, size * samples * 0.5
    width, height = right - left + 2 * pad_x, bottom - top + 2 * pad_y
    mask = Image.new("L", (round(width), round(height)))
    pen = ImageDraw.Draw(mask)
    pen.rounded_rectangle((0, 0, width - 1, height - 1), radius=size * samples * 0.35, fill=225)
    label = Image.new("RGB", mask.size, (250, 247, 238))
    ImageDraw.Draw(label).text((pad_x - left, pad_y - top), "Preview", font=font, fill=(32, 38, 36))
    box = (mask.size[0] // samples, mask.size[1] // samples)
    margin = round(min(image.size) * 0.022)
    corner = (image.size[0] - box[0] - margin, image.size[1] - box[1] - margin)
    resample = Image.Resampling.LANCZOS
    image.paste(label.resize(box, resample), corner, mask.resize(box, resample))


def to_png(image: Image.Image, text: Mapping[str, str]) -> bytes:
    """Return the picture as a PNG that names its origin."""
    info = PngImagePlugin.PngInfo()
    for key, value in {
        **text,
        "Software": SOFTWARE,
        "Comment": "A preview drawn without an image model.",
    }.items():
        info.add_itxt(key, value.replace("\0", ""))
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info, compress_level=4)
    return out.getvalue()
