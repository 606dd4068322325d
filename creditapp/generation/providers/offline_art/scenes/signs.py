"""Lettering: a painted sign, a badge or a poster with the prompt's own words on it."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Canvas, Colour, mix, path, smooth
from creditapp.generation.providers.offline_art.scenes.creatures import leaf
from creditapp.generation.providers.offline_art.study import Study, crags, light, shade, waves

_SKIPPED = frozenset(
    "a an the of for with and logo sign poster banner lettering typography text wordmark label in "
    "on that say says shop painted hand neon vintage retro modern".split()
)


def sign(study: Study) -> None:
    """Rays and a shield, a hanging board, or a badge."""
    study.dice.choice((_rays, _board, _badge))(study)


def letters(study: Study) -> str:
    """Return what to write: what is quoted, else the prompt's strongest words."""
    text = study.wishes.lettering
    if not text:
        words = [word for word in study.wishes.words if word not in _SKIPPED and len(word) > 2]
        text = " ".join(words[:2])
    # The typeface that comes with Pillow knows Latin letters alone.
    plain = "".join(c for c in text.upper() if c.isascii() and c.isprintable())
    return plain[:36].strip() or "OPEN"


def _broken(text: str, wide: float, tall: float) -> tuple[list[str], float]:
    """Return the lines of a text that fill a box best, and their size."""
    probe = ImageFont.load_default(100)
    words = text.split()
    best: tuple[list[str], float] = ([text], 0.0)
    for limit in range(max(len(word) for word in words), len(text) + 1):
        lines = [""]
        for word in words:
            if lines[-1] and len(lines[-1]) + 1 + len(word) > limit:
                lines.append(word)
            else:
                lines[-1] = f"{lines[-1]} {word}".strip()
        widest = max(probe.getlength(line) + 12 * len(line) for line in lines)
        size = min(wide / widest * 100, tall / (len(lines) * 1.16))
        if size > best[1]:
            best = (lines, size)
    return best


def write(
    study: Study,
    text: str,
    x: float,
    y: float,
    wide: float,
    tall: float,
    colour: Colour,
    depth: Colour | None = None,
) -> None:
    """Write a centred text into a box, as large as it fits, with a drop of ``depth`` behind."""
    canvas = study.canvas
    k = canvas.scale
    lines, size = _broken(text, wide, tall)
    font = ImageFont.load_default(size * k)
    pen = ImageDraw.Draw(canvas.image)
    bold = max(1, round(size * k * 0.035))
    gap = size * 0.12
    for number, line in enumerate(lines):
        top = y + (number - (len(lines) - 1) / 2) * size * 1.16
        length = sum(font.getlength(c) / k + gap for c in line) - gap
        at = x - length / 2
        for c in line:
            if depth is not None:
                for step in range(6, 0, -1):
                    shift = size * 0.013 * step * k
                    pen.text(
                        (at * k + shift, top * k + shift),
                        c,
                        font=font,
                        fill=depth,
                        anchor="lm",
                        stroke_width=bold,
                        stroke_fill=depth,
                    )
            pen.text(
                (at * k, top * k),
                c,
                font=font,
                fill=colour,
                anchor="lm",
                stroke_width=bold,
                stroke_fill=colour,
            )
            at += font.getlength(c) / k + gap


def _rays(study: Study) -> None:
    canvas, palette = study.canvas, study.palette
    x, y = canvas.w / 2, canvas.h * 0.5
    inks = (palette.sky[1], palette.sky[2]) if palette.night else (palette.glow, palette.halo)
    canvas.fill(inks[0])
    reach = math.hypot(canvas.w, canvas.h)
    rays = 28
    for number in range(0, rays * 2, 2):
        a0, a1 = (math.tau * n / (rays * 2) for n in (number, number + 1))
        canvas.plain(
            [
                (x, y),
                (x + math.cos(a0) * reach, y + math.sin(a0) * reach),
                (x + math.cos(a1) * reach, y + math.sin(a1) * reach),
            ],
            inks[1],
        )
    wide = min(canvas.w * 0.42, canvas.h * 0.52)
    tall = wide * 0.5
    for grow, colour in ((1.1, palette.dark), (1.05, palette.pale), (1.0, palette.accent)):
        canvas.cut(
            smooth(
                [
                    (x - wide * grow, y - tall * 0.8 * grow),
                    (x, y - tall * 1.1 * grow),
                    (x + wide * grow, y - tall * 0.8 * grow),
                    (x + wide * grow * 1.04, y),
                    (x + wide * grow, y + tall * 0.8 * grow),
                    (x, y + tall * 1.1 * grow),
                    (x - wide * grow, y + tall * 0.8 * grow),
                    (x - wide * grow * 1.04, y),
                ],
                12,
            ),
            colour,
            0.6,
        )
    write(study, letters(study), x, y, wide * 1.72, tall * 1.5, palette.pale, palette.dark)
    for side in (-1, 1):
        for number in range(3):
            _star(study, x + side * (60 + number * 62), y - tall * 1.62, 26 - number * 6)
            _star(study, x + side * (60 + number * 62), y + tall * 1.62, 26 - number * 6)
    _star(study, x, y - tall * 1.7, 36)
    _star(study, x, y + tall * 1.7, 36)


def _star(study: Study, x: float, y: float, size: float) -> None:
    points = []
    for n in range(10):
        a = -math.pi / 2 + n * math.pi / 5
        far = size if n % 2 == 0 else size * 0.44
        points.append((x + math.cos(a) * far, y + math.sin(a) * far))
    study.canvas.poly(points, study.palette.accent)


def _board(study: Study) -> None:
    """A board that hangs before a wall, lamps on both sides."""
    canvas, palette = study.canvas, study.palette
    brick = mix(palette.accent, palette.near, 0.55)
    if palette.night:
        brick = mix(palette.near, palette.dark, 0.25)
    _bricks(study, brick)
    x, y = canvas.w / 2, canvas.h * 0.52
    half_w, half_h = canvas.w * 0.38, min(canvas.h * 0.24, canvas.w * 0.24)
    rail = y - half_h * 1.55
    canvas.glow(x, y - half_h, half_w * 1.5, palette.glow, 0.55)
    canvas.line([(x - half_w * 1.1, rail), (x + half_w * 1.1, rail)], 14, palette.dark)
    for side in (-0.7, 0.7):
        canvas.line([(x + side * half_w, rail), (x + side * half_w, y - half_h)], 5, palette.dark)
    shadow = mix(brick, palette.dark, 0.75)
    canvas.block(x - half_w + 14, y - half_h + 22, x + half_w + 14, y + half_h + 22, shadow)
    field = palette.water if not palette.night else palette.sky[2]
    for inset, colour in ((0, palette.dark), (14, palette.pale), (22, field)):
        wide, tall = half_w - inset, half_h - inset
        canvas.rect(x - wide, y - tall, x + wide, y + tall, colour)
    write(study, letters(study), x, y, half_w * 1.64, half_h * 1.4, palette.pale, palette.dark)
    for side in (-0.5, 0.5):
        _lamp(study, x + side * half_w * 1.4, rail)


def _bricks(study: Study, brick: Colour) -> None:
    canvas, palette = study.canvas, study.palette
    canvas.fill(shade(brick, palette, 0.28))
    tall, wide = 46.0, 118.0
    for row in range(int(canvas.h / tall) + 2):
        y = row * tall
        for number in range(-1, int(canvas.w / wide) + 2):
            x = (number + (row % 2) / 2) * wide
            tone = mix(brick, palette.dark, study.between(0.0, 0.14))
            canvas.block(x + 3, y + 3, x + wide - 3, y + tall - 3, tone)


def _lamp(study: Study, x: float, y: float) -> None:
    canvas, palette = study.canvas, study.palette
    canvas.line([(x, y), (x, y + 20)], 6, palette.dark)
    shape = [(x - 16, y + 18), (x + 16, y + 18), (x + 44, y + 52), (x - 44, y + 52)]
    canvas.poly(shape, palette.accent)
    canvas.oval(x, y + 53, 40, 9, palette.glow)


def _badge(study: Study) -> None:
    """A round badge with a small landscape and a ribbon."""
    canvas, palette = study.canvas, study.palette
    canvas.fill(palette.pale if not palette.night else palette.sky[0])
    x, y, radius = canvas.w / 2, canvas.h * 0.46, min(canvas.w, canvas.h) * 0.34
    view = _small_landscape(study, round(radius * 2 * canvas.scale))
    mask = Image.new("L", view.size)
    ImageDraw.Draw(mask).ellipse((0, 0, mask.size[0] - 1, mask.size[1] - 1), fill=255)
    for grow, colour in ((1.16, palette.dark), (1.12, palette.pale), (1.05, palette.dark)):
        canvas.disc(x, y, radius * grow, colour)
    corner = (round((x - radius) * canvas.scale), round((y - radius) * canvas.scale))
    canvas.image.paste(view, corner, mask)
    _ribbon(study, x, y + radius * 0.86, radius * 1.42, radius * 0.32)
    for side in (-1, 1):
        for number in range(7):
            a = 0.5 + number * 0.26
            start, tip = (
                (x + side * math.sin(a - bend) * far, y - math.cos(a - bend) * far)
                for bend, far in ((0.0, radius * 1.22), (0.3, radius * 1.5))
            )
            leaf(canvas, start, tip, radius * 0.055, palette.near, palette.ripple)


def _small_landscape(study: Study, side: int) -> Image.Image:
    """Draw mountains and pines on a square sheet of their own."""
    samples = study.canvas.samples
    sheet = Canvas(max(8, side // samples), max(8, side // samples), samples)
    small = Study(sheet, study.palette, study.dice, study.wishes, study.soft)
    elements.sky(small, sheet.h * 0.66)
    elements.sun(small, sheet.w * 0.5, sheet.h * 0.4, 150)
    for share, base, height in ((0.2, 0.74, 0.4), (0.6, 0.8, 0.22)):
        corners = crags(small, sheet.h * base, sheet.h * height, 4)
        ground = [(sheet.w + 200, sheet.h + 40), (-200.0, sheet.h + 40)]
        sheet.poly([*corners, *ground], study.palette.land(share))
    sheet.below(waves(small, sheet.h * 0.8, 16, sheet.w), study.palette.dark)
    for number in range(7):
        tall = sheet.h * study.between(0.14, 0.28)
        elements.pine(small, sheet.w * (0.08 + 0.14 * number), sheet.h * 0.86, tall, 0.97)
    return sheet.image


def _ribbon(study: Study, x: float, y: float, half: float, band: float) -> None:
    canvas, palette = study.canvas, study.palette
    for end in (-1, 1):
        tail = path("0.82,-0.5 1.16,-0.5 1.04,0.3 1.16,1.05 0.82,1.05")
        points = [(x + end * half * px, y + band * py) for px, py in tail]
        canvas.poly(points, shade(palette.accent, palette, 0.35))
    corners = path("-1,-1 1,-1 1,1 -1,1")
    canvas.cut([(x + half * px, y + band * py) for px, py in corners], palette.accent, 0.8)
    for top, low in ((-0.84, -0.78), (0.78, 0.84)):
        thread = light(palette.accent, palette, 0.5)
        canvas.block(x - half, y + band * top, x + half, y + band * low, thread)
    write(study, letters(study), x, y, half * 1.8, band * 1.3, palette.pale)
