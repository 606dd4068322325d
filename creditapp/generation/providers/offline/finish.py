"""Last steps of every preview: tone of the model, grain, the mark, the file."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from functools import cache

from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageEnhance, ImageFont, PngImagePlugin

from creditapp.generation.providers.offline.palettes import Palette, luminance, rgb

SOFTWARE = "CreditApp offline preview"
GRAIN_SIDE = 512
MARK = "Preview"


def tone(image: Image.Image, model: str) -> Image.Image:
    """Return the image in a saturation, contrast and warmth that are the model's own."""
    dice = random.Random(model)  # noqa: S311  # art, not a secret
    image = ImageEnhance.Color(image).enhance(dice.uniform(0.7, 1.2))
    image = ImageEnhance.Contrast(image).enhance(dice.uniform(0.94, 1.1))
    warmth = dice.uniform(-0.06, 0.06)
    red = [min(255, round(value * (1 + warmth))) for value in range(256)]
    blue = [min(255, round(value * (1 - warmth))) for value in range(256)]
    return image.point([*red, *range(256), *blue])


def grain(image: Image.Image) -> Image.Image:
    """Return the image with a fine, even grain; sparse, so that the file stays small."""
    tile = _grain_tile()
    sheet = Image.new("L", image.size)
    for x in range(0, image.width, GRAIN_SIDE):
        for y in range(0, image.height, GRAIN_SIDE):
            sheet.paste(tile, (x, y))
    return ImageChops.add(image, Image.merge("RGB", (sheet, sheet, sheet)), 1, -128)


@cache
def _grain_tile() -> Image.Image:
    noise = random.Random(1887).randbytes(GRAIN_SIDE * GRAIN_SIDE)  # noqa: S311  # art
    levels = [125 if value < 22 else 131 if value >= 234 else 128 for value in range(256)]
    return Image.frombytes("L", (GRAIN_SIDE, GRAIN_SIDE), noise).point(levels)


def letter(
    image: Image.Image, text: str, box: tuple[float, float, float, float], palette: Palette
) -> None:
    """Write ``text`` as large as fits into ``box`` (x, y, width, height in pixels).

    The font comes with Pillow, so no font of the machine is needed; it has Latin letters only.
    """
    x, y, width, height = box
    dark, light = sorted(
        (rgb(palette.colours["shade"]), rgb(palette.colours["light"])), key=luminance
    )
    lines = _lines("".join(letter for letter in text if letter.isprintable()))
    size = int(height / len(lines) * 0.8)
    widest = max(ImageFont.load_default(100).getlength(line) for line in lines) or 100
    font = ImageFont.load_default(max(6, min(size, int(100 * width / widest))))
    pen = ImageDraw.Draw(image)
    middle = (x + width / 2, y + height / 2)
    joined = "\n".join(lines)
    offset = max(1, round(height * 0.012))
    for shift, colour in ((offset, dark), (0, light)):
        place = (middle[0] + shift, middle[1] + shift)
        pen.multiline_text(place, joined, colour, font, "mm", align="center")


def _lines(text: str) -> list[str]:
    """Return ``text`` in two lines of about one length if it has several words."""
    words = text.split()
    if len(words) < 2:
        return [text]
    cuts = [[" ".join(words[:at]), " ".join(words[at:])] for at in range(1, len(words))]
    return min(cuts, key=lambda cut: max(len(line) for line in cut))


def mark(image: Image.Image) -> None:
    """Put a small plate that says "Preview" into the lower right corner, if there is room."""
    plate = mark_plate(image.size)
    corner = mark_corner(image.size, plate)
    if min(corner) >= 0:
        image.paste(plate.convert("RGB"), corner, plate.getchannel("A"))


def mark_corner(size: tuple[int, int], plate: Image.Image) -> tuple[int, int]:
    """Return the place of the plate's upper left corner; negative where it does not fit."""
    margin = round(min(size) * 0.022)
    return size[0] - plate.width - margin, size[1] - plate.height - margin


def mark_plate(size: tuple[int, int]) -> Image.Image:
    """Return the plate for an image of ``size``."""
    letters = max(11, round(min(size) * 0.017))
    # Drawn three times as large and made smaller, which smooths its edges.
    samples = 3
    font = ImageFont.load_default(letters * samples)
    left, top, right, bottom = font.getbbox(MARK)
    pad_x, pad_y = letters * samples * 0.75, letters * samples * 0.5
    width, height = right - left + 2 * pad_x, bottom - top + 2 * pad_y
    mask = Image.new("L", (round(width), round(height)))
    pen = ImageDraw.Draw(mask)
    radius = letters * samples * 0.35
    pen.rounded_rectangle((0, 0, width - 1, height - 1), radius, fill=225)
    label = Image.new("RGB", mask.size, (250, 247, 238))
    pen = ImageDraw.Draw(label)
    # The outline shows the plate on a light image too.
    pen.rounded_rectangle(
        (0, 0, width - 1, height - 1), radius, outline=(150, 146, 136), width=samples
    )
    pen.text((pad_x - left, pad_y - top), MARK, font=font, fill=(32, 38, 36))
    box = (mask.width // samples, mask.height // samples)
    resample = Image.Resampling.LANCZOS
    plate = label.resize(box, resample)
    plate.putalpha(mask.resize(box, resample))
    return plate


def to_png(image: Image.Image, text: Mapping[str, str], *, orientation: int | None = None) -> bytes:
    """Return the image as a PNG that names its origin, and has an EXIF orientation if given."""
    info = PngImagePlugin.PngInfo()
    comment = "A preview made without an image model."
    for key, value in {**text, "Software": SOFTWARE, "Comment": comment}.items():
        info.add_itxt(key, value.replace("\0", ""))
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info, compress_level=4, exif=exif if exif else None)
    return out.getvalue()
