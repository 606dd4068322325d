"""A supersampled sheet to draw flat shapes on, in units that do not depend on its pixels.

The short side is 1,000 units long. Shapes are drawn at ``SAMPLES`` times the size and averaged
down at the end, which is what makes their edges smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from PIL import Image, ImageDraw, ImageFilter

SAMPLES = 3
SHORT_SIDE = 1000.0

Colour = tuple[int, int, int]
Point = tuple[float, float]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return ``one`` with ``share`` of ``other`` in it, from 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def luminance(colour: Colour) -> float:
    """Return how light a colour is, from 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def path(text: str) -> list[Point]:
    """Return the points of a drawing's outline, written as ``"0,-0.9 0.5,-0.8 …"``."""
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def smooth(points: Sequence[Point], steps: int = 10) -> list[Point]:
    """Return a closed curve through ``points`` (Catmull-Rom)."""
    count, curve = len(points), []
    for index in range(count):
        before, start, end, after = (points[(index + shift) % count] for shift in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            curve.append(
                (
                    _spline(before[0], start[0], end[0], after[0], t),
                    _spline(before[1], start[1], end[1], after[1], t),
                )
            )
    return curve


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (
        2 * b
        + (c - a) * t
        + (2 * a - 5 * b + 4 * c - d) * t * t
        + (3 * b - a - 3 * c + d) * t * t * t
    )


def open_curve(points: Sequence[Point], steps: int = 10) -> list[Point]:
    """Return a curve from the first of ``points`` to the last."""
    doubled = [points[0], *points, points[-1]]
    curve = []
    for index in range(1, len(doubled) - 2):
        before, start, end, after = doubled[index - 1 : index + 3]
        for step in range(steps):
            t = step / steps
            curve.append(
                (
                    _spline(before[0], start[0], end[0], after[0], t),
                    _spline(before[1], start[1], end[1], after[1], t),
                )
            )
    return [*curve, points[-1]]


class Canvas:
    """The sheet. How a shape lands on it is the style's: flat, outlined, or casting a shadow."""

    outline: Colour | None = None
    """The ink of every shape's edge; ``None`` draws no edges."""
    outline_width = 2.2
    casts_shadows = False

    def __init__(self, width: int, height: int, samples: int = SAMPLES) -> None:
        self.scale = samples * min(width, height) / SHORT_SIDE
        self.w = width * samples / self.scale
        self.h = height * samples / self.scale
        self.samples = samples
        self.image = Image.new("RGB", (width * samples, height * samples))
        self._pen = ImageDraw.Draw(self.image)

    @property
    def tall(self) -> bool:
        """Whether it stands upright."""
        return self.h > self.w * 1.1

    def fill(self, colour: Colour) -> None:
        """Cover the whole sheet."""
        self._pen.rectangle((0, 0, *self.image.size), fill=colour)

    def poly(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon."""
        scaled = self._scaled(points)
        self._pen.polygon(scaled, fill=colour)
        if self.outline is not None:
            self._pen.line(
                [*scaled, scaled[0], scaled[1]],
                fill=self.outline,
                width=max(1, round(self.outline_width * self.scale)),
                joint="curve",
            )

    def plain(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon that never has an edge: light, reflections, small marks."""
        self._pen.polygon(self._scaled(points), fill=colour)

    def cut(self, points: Iterable[Point], colour: Colour, depth: float = 1.0) -> None:
        """Fill a large polygon that lies above what is there, ``depth`` sheets of paper high."""
        shape = list(points)
        if self.casts_shadows:
            self._shadow(shape, depth)
        self.poly(shape, colour)

    def blob(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a closed smooth curve through ``points``."""
        self.poly(smooth(points), colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        k = self.scale
        box = ((x - radius) * k, (y - radius) * k, (x + radius) * k, (y + radius) * k)
        if self.outline is not None and radius > 3:
            width = max(1, round(self.outline_width * k))
            self._pen.ellipse(box, fill=colour, outline=self.outline, width=width)
        else:
            self._pen.ellipse(box, fill=colour)

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0
    ) -> None:
        """Fill an ellipse, turned by ``turn`` radians."""
        cos, sin = math.cos(turn), math.sin(turn)
        points = []
        steps = 40 if max(rx, ry) < 120 else 96
        for step in range(steps):
            a = step / steps * math.tau
            dx, dy = rx * math.cos(a), ry * math.sin(a)
            points.append((x + dx * cos - dy * sin, y + dx * sin + dy * cos))
        self.poly(points, colour)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill an upright rectangle with an edge."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def mark(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill a small upright rectangle without an edge: a window, a glint."""
        k = self.scale
        if x1 * k - x0 * k >= 1 and y1 * k - y0 * k >= 1:
            self._pen.rectangle((x0 * k, y0 * k, x1 * k - 1, y1 * k - 1), fill=colour)

    def block(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill an upright rectangle that never has an edge."""
        self.plain([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def below(self, height_at: Callable[[float], float], colour: Colour, step: float = 6) -> None:
        """Fill everything below a line across the sheet, as one sheet of paper."""
        xs = [-20 + step * n for n in range(int((self.w + 40) / step) + 2)]
        line = [(x, height_at(x)) for x in xs]
        self.cut([*line, (self.w + 30, self.h + 30), (-30, self.h + 30)], colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line with round ends."""
        scaled, thick = self._scaled(points), max(1, round(width * self.scale))
        self._pen.line(scaled, fill=colour, width=thick, joint="curve")
        if thick > 2:
            radius = thick / 2
            for x, y in (scaled[0], scaled[-1]):
                self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def dash(self, x: float, y: float, length: float, width: float, colour: Colour) -> None:
        """Draw a horizontal stroke with round ends, centred on ``x``."""
        k, half = self.scale, max(width / 2, 0.4)
        box = ((x - length / 2) * k, (y - half) * k, (x + length / 2) * k, (y + half) * k)
        if box[2] - box[0] >= 2 and box[3] - box[1] >= 1:
            self._pen.rounded_rectangle(box, radius=half * k, fill=colour)

    def gradient(self, top: float, bottom: float, colours: Sequence[Colour]) -> None:
        """Fill a band across the sheet with a soft gradient from its top down."""
        k, width = self.scale, self.image.size[0]
        first, last = round(top * k), round(bottom * k)
        strip = Image.new("RGB", (1, max(len(colours), 2)))
        for index in range(strip.size[1]):
            strip.putpixel((0, index), colours[min(index, len(colours) - 1)])
        self.image.paste(
            strip.resize((1, last - first), Image.Resampling.BICUBIC).resize((width, last - first)),
            (0, first),
        )

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Lay a soft light around a point."""
        size = 128
        spot = Image.radial_gradient("L").resize((size, size))
        mask = spot.point([round(max(0.0, 1 - v / 181) ** 2 * 255 * strength) for v in range(256)])
        side = max(2, round(2 * radius * self.scale))
        corner = (round((x - radius) * self.scale), round((y - radius) * self.scale))
        self.image.paste(
            Image.new("RGB", (side, side), colour),
            corner,
            mask.resize((side, side), Image.Resampling.BICUBIC),
        )

    def mirror(self, top: float, depth: float, tint: Colour, share: float) -> None:
        """Show what is above ``top`` upside down below it, with ``share`` of ``tint`` in it."""
        k, width = self.scale, self.image.size[0]
        line, below = round(top * k), round(depth * k)
        above = self.image.crop((0, max(0, line - round(below / 0.8)), width, line))
        flipped = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((width, below))
        self.image.paste(
            Image.blend(flipped, Image.new("RGB", flipped.size, tint), share), (0, line)
        )

    def flip(self) -> None:
        """Turn the sheet left to right."""
        self.image.paste(self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))

    def _shadow(self, points: Sequence[Point], depth: float) -> None:
        """Darken what lies under a sheet, down and to the right of it; only around its box."""
        coarse = 4
        k = self.scale
        dx, dy, blur = 3.5 * depth, 8.0 * depth, 10.0 * depth
        xs, ys = [x for x, _ in points], [y for _, y in points]
        reach = 3 * blur
        box = (
            max(0, round((min(xs) - reach) * k)),
            max(0, round((min(ys) - reach) * k)),
            min(self.image.size[0], round((max(xs) + reach + dx) * k)),
            min(self.image.size[1], round((max(ys) + reach + dy) * k)),
        )
        size = (box[2] - box[0], box[3] - box[1])
        if size[0] < coarse or size[1] < coarse:
            return
        mask = Image.new("L", (size[0] // coarse, size[1] // coarse))
        moved = [
            (((x + dx) * k - box[0]) / coarse, ((y + dy) * k - box[1]) / coarse) for x, y in points
        ]
        ImageDraw.Draw(mask).polygon(moved, fill=120)
        mask = mask.filter(ImageFilter.GaussianBlur(blur * k / coarse))
        self.image.paste((12, 14, 20), box, mask.resize(size, Image.Resampling.BILINEAR))

    def _scaled(self, points: Iterable[Point]) -> list[Point]:
        k = self.scale
        return [(x * k, y * k) for x, y in points]
