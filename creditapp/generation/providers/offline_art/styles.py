"""The ways a scene is rendered: each model previews in a manner of its own.

``print`` flat colour, ``paper`` cut sheets with shadows, ``ink`` outlines, ``glow`` soft light,
``riso`` few inks out of register, ``wash`` watercolour, ``poster`` framed with a title. A style
prepares the sheet before the scene is drawn, and finishes the picture after.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from creditapp.generation.providers.offline_art import finish
from creditapp.generation.providers.offline_art.canvas import Canvas, luminance, mix
from creditapp.generation.providers.offline_art.palettes import Palette
from creditapp.generation.providers.offline_art.study import Study

PAPER = (249, 245, 235)


def samples_for(style: str, scene: str) -> int:
    """Return how finely a sheet is sampled; shadows cost time and hide coarser edges."""
    return 2 if style == "paper" or scene == "canyon" else 3


def prepare(study: Study, style: str) -> None:
    """Set the sheet up before the scene is drawn."""
    canvas, palette = study.canvas, study.palette
    if style == "paper":
        canvas.casts_shadows = True
    elif style == "ink":
        dark = luminance(palette.sky[0]) < 70 or palette.night
        canvas.outline = mix(palette.halo, palette.sky[1], 0.25) if dark else palette.dark
    elif style == "glow":
        study.soft = True


def finish_picture(image: Image.Image, study: Study, style: str) -> Image.Image:
    """Turn the drawn scene into the finished picture, with its grain."""
    how = _FINISHES.get(style, _printed)
    return how(image, study)


def _printed(image: Image.Image, study: Study) -> Image.Image:
    del study
    return finish.paper_grain(image)


def _papered(image: Image.Image, study: Study) -> Image.Image:
    clouds = finish.clouds(image.size, study.dice, 90)
    return finish.paper_grain(finish.lighten(image, clouds, 0.05), 4)


def _inked(image: Image.Image, study: Study) -> Image.Image:
    """Ink and a thin wash: colours lie lighter on the paper, a little uneven."""
    clouds = finish.clouds(image.size, study.dice, 70)
    if not study.palette.night and luminance(study.palette.sky[0]) > 70:
        tint = Image.new("RGB", image.size, PAPER)
        lines = image.convert("L").point([0 if v < 74 else 255 for v in range(256)])
        image = Image.composite(Image.blend(image, tint, 0.2), image, lines)
    return finish.paper_grain(finish.lighten(image, clouds, 0.1), 4)


def _glowing(image: Image.Image, study: Study) -> Image.Image:
    """Let the light bleed, and the corners fall off."""
    del study
    small = image.resize((image.size[0] // 4, image.size[1] // 4), Image.Resampling.BOX)
    bright = small.point([max(0, round((v - 120) * 0.85)) for v in range(256)] * 3)
    halo = bright.filter(ImageFilter.GaussianBlur(min(small.size) * 0.035))
    image = ImageChops.screen(image, halo.resize(image.size, Image.Resampling.BICUBIC))
    corners = Image.radial_gradient("L").point([255 - max(0, v - 120) // 2 for v in range(256)])
    edge = corners.resize(image.size, Image.Resampling.BICUBIC)
    return finish.paper_grain(ImageChops.multiply(image, Image.merge("RGB", (edge, edge, edge))), 2)


def _risographed(image: Image.Image, study: Study) -> Image.Image:
    """Few inks, a screen of dots in the half tones, and plates that do not quite meet."""
    few = image.quantize(palette=_inks(study.palette), dither=Image.Dither.NONE).convert("RGB")
    shift = max(1, min(image.size) // 420)
    red, green, blue = few.split()
    red = ImageChops.offset(red, shift, shift // 2)
    blue = ImageChops.offset(blue, -shift, 0)
    few = Image.merge("RGB", (red, green, blue))
    light = image.convert("L").filter(ImageFilter.GaussianBlur(min(image.size) * 0.012))
    dots = finish.halftone(light, max(5, min(image.size) // 150))
    darker = few.point([round(v * 0.87) for v in range(256)] * 3)
    few = Image.composite(few, darker, dots)
    few = Image.blend(few, Image.new("RGB", few.size, PAPER), 0.05)
    # ImageChops.offset wraps around: a margin of bare paper hides the seam.
    margin = max(shift * 2, round(min(image.size) * 0.028))
    page = Image.new("RGB", image.size, PAPER)
    box = (margin, margin, image.size[0] - margin, image.size[1] - margin)
    page.paste(few.crop(box), box[:2])
    return finish.paper_grain(page, 9)


def _inks(palette: Palette) -> Image.Image:
    """Return the palette's colours as Pillow's palette, so that its accents survive."""
    colours = (
        *palette.sky[::2], palette.halo, palette.far, palette.near, palette.dark, palette.water,
        palette.glow, palette.accent, palette.pale,
    )  # fmt: skip
    holder = Image.new("P", (1, 1))
    holder.putpalette([value for colour in colours for value in colour])
    return holder


def _washed(image: Image.Image, study: Study) -> Image.Image:
    """Watercolour: wandering edges with a dark rim, pigment in clouds, a bare border."""
    dice = study.dice
    image = finish.wander(image, dice, min(image.size) * 0.005)
    rim = image.convert("L").filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1.6))
    rim = rim.point([255 - min(62, round(v * 1.25)) for v in range(256)])
    image = ImageChops.multiply(image, Image.merge("RGB", (rim, rim, rim)))
    image = finish.lighten(image, finish.clouds(image.size, dice, 9), 0.3)
    image = finish.lighten(image, finish.clouds(image.size, dice, 40), 0.2)
    image = Image.blend(image, Image.new("RGB", image.size, PAPER), 0.1)
    sheet = Image.new("L", image.size)
    inset = round(min(image.size) * 0.035)
    ImageDraw.Draw(sheet).rectangle(
        (inset, inset, image.size[0] - inset, image.size[1] - inset), fill=255
    )
    sheet = sheet.filter(ImageFilter.GaussianBlur(inset * 0.4))
    edge = finish.clouds(image.size, dice, 60).point([64 + v // 2 for v in range(256)])
    ragged = ImageChops.add(sheet, edge, 2)
    ragged = ragged.point([max(0, min(255, (v - 118) * 12)) for v in range(256)])
    page = Image.new("RGB", image.size, PAPER)
    page.paste(image, (0, 0), ragged)
    return finish.paper_grain(page, 5)


def _postered(image: Image.Image, study: Study) -> Image.Image:
    """A framed print with its title underneath."""
    page = Image.new("RGB", image.size, PAPER)
    width, height = image.size
    margin, foot = round(min(width, height) * 0.055), round(min(width, height) * 0.125)
    box = (margin, margin, width - margin, height - foot)
    # Cropped, not squeezed: circles stay round.
    left = (width - (box[2] - box[0])) // 2
    top = (height - (box[3] - box[1])) // 2
    page.paste(image.crop((left, top, left + box[2] - box[0], top + box[3] - box[1])), box[:2])
    title = study.wishes.title
    size = foot * 0.24
    font = ImageFont.load_default(size)
    gap = size * 0.34
    length = sum(font.getlength(c) + gap for c in title) - gap
    scale = min(1.0, (width - 2 * margin) * 0.7 / max(length, 1))
    font = ImageFont.load_default(size * scale)
    pen, x, y = ImageDraw.Draw(page), float(margin), height - foot * 0.5
    ink = study.palette.dark
    for c in title:
        pen.text((x, y), c, font=font, fill=ink, anchor="lm", stroke_width=1, stroke_fill=ink)
        x += font.getlength(c) + gap * scale
    return finish.paper_grain(page)


_FINISHES: dict[str, Callable[[Image.Image, Study], Image.Image]] = {
    "paper": _papered,
    "ink": _inked,
    "glow": _glowing,
    "riso": _risographed,
    "wash": _washed,
    "poster": _postered,
}


def sheet_for(style: str, scene: str, width: int, height: int) -> Canvas:
    """Return an empty sheet for a picture of ``width`` x ``height``."""
    return Canvas(width, height, samples_for(style, scene))
