"""Portraits: a bust before a disc, in the manner of a poster, without the features of anybody."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art import elements
from creditapp.generation.providers.offline_art.canvas import Colour, Point, mix, path, smooth
from creditapp.generation.providers.offline_art.scenes.creatures import leaf
from creditapp.generation.providers.offline_art.study import Study, light, shade, waves

_SKINS: tuple[Colour, ...] = (
    (246, 214, 186),
    (232, 184, 148),
    (202, 148, 108),
    (150, 100, 70),
    (104, 66, 48),
)
_HAIRS: tuple[Colour, ...] = (
    (38, 30, 32),
    (72, 46, 36),
    (134, 84, 48),
    (196, 150, 86),
    (168, 74, 44),
    (206, 202, 196),
)
_LADIES = ("woman", "girl", "lady", "queen", "princess")
_STATESMEN = ("president", "gentleman", "king", "statesman", "century", "lincoln", "senator")


def portrait(study: Study) -> None:
    """A person from the waist up, with a halo of sun and leaves or a plain backdrop."""
    canvas, palette = study.canvas, study.palette
    statesman = study.wishes.has(*_STATESMEN)
    lady = study.wishes.has(*_LADIES) or (
        not statesman and not study.wishes.has("man", "boy", "prince") and study.chance(0.5)
    )
    elements.sky(study, canvas.h * 0.98, wavy=24)
    if palette.night:
        elements.stars(study, canvas.h * 0.8)
    size = min(canvas.w, canvas.h) * 0.25
    x, y = canvas.w * 0.5, canvas.h * 0.43
    elements.sun(study, x, y, size * 1.62)
    if statesman:
        canvas.below(
            waves(study, canvas.h * 0.8, 18, canvas.w), mix(palette.mid, palette.near, 0.5)
        )
    else:
        _foliage(study, x, y, size)
    # Whoever asks for the century's presidents gets a likeness in that at least.
    skins = _SKINS[:2] if study.wishes.has("century", "lincoln") else _SKINS
    skin = mix(study.dice.choice(skins), palette.halo, 0.12)
    hair = mix(
        study.dice.choice(_HAIRS[:5] if not statesman else (*_HAIRS[:3], _HAIRS[5])),
        palette.dark,
        0.2,
    )
    if study.wishes.has("old", "grandmother", "grandfather", "elderly", "grey"):
        hair = _HAIRS[5]
    side = study.dice.choice((-1, 1))
    bust = _Bust(study, x, y, size, side, skin, hair)
    if lady:
        bust.lady()
    else:
        bust.gentleman(formal=statesman)


def _foliage(study: Study, x: float, y: float, size: float) -> None:
    """Large leaves that rise at both sides from below."""
    canvas, palette = study.canvas, study.palette
    colours = (palette.near, palette.mid, mix(palette.near, palette.water, 0.5), palette.dark)
    for side in (-1, 1):
        for number in range(9):
            root = (x + side * size * study.between(1.5, 2.6), canvas.h + 30)
            a = study.between(-0.35, 0.6)
            long = (canvas.h - y) * study.between(0.55, 1.05)
            tip = (root[0] + side * math.sin(a) * long, root[1] - math.cos(a) * long)
            leaf(canvas, root, tip, size * 0.17, colours[number % 4], palette.ripple)


class _Bust:
    """One sitter; coordinates are in heads, from the middle of the face."""

    def __init__(
        self, study: Study, x: float, y: float, size: float, side: int, skin: Colour, hair: Colour
    ) -> None:
        self.study, self.canvas, self.palette = study, study.canvas, study.palette
        self.x, self.y, self.size, self.side = x, y, size, side
        self.skin, self.hair = skin, hair
        self.shadow = mix(skin, study.palette.accent, 0.22)
        self.shadow = shade(self.shadow, study.palette, 0.2)

    def at(self, px: float, py: float) -> Point:
        return (self.x + self.side * px * self.size, self.y + py * self.size)

    def shape(self, points: list[Point], colour: Colour, *, cut: bool = False) -> None:
        placed = smooth([self.at(*p) for p in points])
        if cut:
            self.canvas.cut(placed, colour, 0.7)
        else:
            self.canvas.poly(placed, colour)

    def lady(self) -> None:
        study, palette = self.study, self.palette
        style = study.dice.choice(("long", "bun", "bob"))
        if style == "long":
            self.shape(
                path(
                    "0,-1.05 0.8,-0.7 0.98,0.2 1.02,1.2 0.6,1.9 -0.6,1.9 -1.02,1.2 -0.98,0.2 "
                    "-0.8,-0.7"
                ),
                self.hair,
                cut=True,
            )
        elif style == "bob":
            self.shape(
                path(
                    "0,-1.05 0.8,-0.7 1,0.1 0.92,0.82 0.3,0.7 -0.3,0.7 -0.92,0.82 -1,0.1 -0.8,-0.7"
                ),
                self.hair,
                cut=True,
            )
        else:
            self.canvas.disc(*self.at(0.1, -1.2), self.size * 0.38, self.hair)
            self.shape(
                path("0,-1.02 0.76,-0.66 0.84,0 0.5,0.5 -0.5,0.5 -0.84,0 -0.76,-0.66"),
                self.hair,
                cut=True,
            )
        dress = study.dice.choice((palette.accent, palette.second, palette.near, palette.pale))
        self._shoulders(1.45, dress)
        self.shape(
            path("-0.62,1.18 0,1.05 0.62,1.18 0.34,1.66 0,1.78 -0.34,1.66"),
            self.skin,
        )
        self._neck()
        self._face()
        self.shape(
            path(
                "-0.1,-0.98 0.5,-0.92 0.82,-0.42 0.8,0.06 0.6,-0.3 0.1,-0.62 -0.5,-0.34 "
                "-0.78,0.1 -0.84,-0.4 -0.56,-0.86"
            ),
            self.hair,
        )
        for ear in (-1, 1):
            self.canvas.disc(*self.at(ear * 0.76, 0.42), self.size * 0.07, palette.glow)
        self._features(lips=True)
        if study.wishes.has("queen", "princess", "crown"):
            self._crown()

    def gentleman(self, *, formal: bool) -> None:
        study, palette = self.study, self.palette
        coat = (
            palette.dark
            if formal
            else study.dice.choice((palette.near, palette.accent, palette.second, palette.water))
        )
        self._shoulders(1.6, coat)
        if formal:
            self._evening_dress(coat)
        else:
            self._neck()
            self.shape(
                path("-0.46,1 0,1.28 0.46,1 0.6,1.2 0,1.52 -0.6,1.2"),
                light(coat, palette, 0.18),
            )
        for ear in (-1, 1):
            self.canvas.oval(
                *self.at(ear * 0.74, 0.06), self.size * 0.12, self.size * 0.19, self.shadow
            )
        self._face()
        beard = (
            study.dice.choice(("none", "full", "none"))
            if not formal
            else study.dice.choice(("full", "sides", "sides", "chin", "none"))
        )
        if study.wishes.has("lincoln"):
            beard = "chin"
        elif study.wishes.has("beard", "bearded", "wizard", "viking"):
            beard = "full"
        self._beard(beard)
        self.shape(
            path(
                "-0.72,-0.1 -0.86,-0.56 -0.5,-1.06 0.2,-1.16 0.74,-0.86 0.86,-0.36 0.72,-0.06 "
                "0.62,-0.42 0.3,-0.6 -0.3,-0.52 -0.6,-0.4"
            ),
            self.hair,
            cut=True,
        )
        self._features(lips=False)
        if study.wishes.has("king", "crown"):
            self._crown()

    def _evening_dress(self, coat: Colour) -> None:
        """Shirt, neck, lapels, collar and bow tie."""
        study, palette = self.study, self.palette

        def fill(points: list[Point], colour: Colour) -> None:
            self.canvas.poly([self.at(*p) for p in points], colour)

        fill(path("-0.36,1.02 0.36,1.02 0,2.3"), palette.pale)
        self._neck()
        for side in (-1, 1):
            lapel = path("0.34,0.94 0.62,1.12 0.56,1.62 0,2.4")
            fill([(side * px, py) for px, py in lapel], light(coat, palette, 0.14))
            collar = path("0.06,0.98 0.42,0.86 0.4,1.16")
            fill([(side * px, py) for px, py in collar], palette.pale)
            tie = palette.accent if study.chance(0.4) else shade(coat, palette, 0.3)
            fill([(side * px, py) for px, py in path("0,1.14 0.32,1 0.3,1.3")], tie)
        self.canvas.disc(*self.at(0, 1.15), self.size * 0.07, palette.dark)

    def _shoulders(self, wide: float, colour: Colour) -> None:
        self.shape(
            [
                (-0.4, 0.98),
                (0.4, 0.98),
                (wide * 0.8, 1.3),
                (wide, 2.0),
                (wide * 1.06, 3.4),
                (-wide * 1.06, 3.4),
                (-wide, 2.0),
                (-wide * 0.8, 1.3),
            ],
            colour,
            cut=True,
        )
        self.shape(
            [
                (wide * 0.5, 1.3),
                (wide * 0.8, 1.34),
                (wide, 2.0),
                (wide * 1.06, 3.4),
                (wide * 0.6, 3.4),
                (wide * 0.56, 2.2),
            ],
            shade(colour, self.palette, 0.25),
        )

    def _neck(self) -> None:
        self.canvas.poly(
            [self.at(*p) for p in path("-0.28,0.5 0.28,0.5 0.34,1.2 0,1.36 -0.34,1.2")],
            self.skin,
        )
        self.canvas.plain(
            [self.at(*p) for p in path("-0.28,0.62 0.28,0.62 0.32,1 -0.1,0.92")],
            self.shadow,
        )

    def _face(self) -> None:
        self.shape(
            path(
                "0,-0.92 0.5,-0.8 0.74,-0.3 0.7,0.26 0.42,0.72 0,0.9 -0.42,0.72 -0.7,0.26 "
                "-0.74,-0.3 -0.5,-0.8"
            ),
            self.skin,
            cut=True,
        )
        outline, self.canvas.outline = self.canvas.outline, None
        self.shape(
            path(
                "0.3,-0.84 0.56,-0.74 0.74,-0.3 0.7,0.26 0.42,0.72 0.06,0.88 0.4,0.4 0.52,0 "
                "0.46,-0.5"
            ),
            self.shadow,
        )
        self.canvas.outline = outline

    def _features(self, *, lips: bool) -> None:
        canvas, size, dark = self.canvas, self.size, mix(self.hair, self.palette.dark, 0.5)
        for eye in (-1, 1):
            canvas.line(
                [self.at(eye * 0.44, -0.21), self.at(eye * 0.28, -0.25), self.at(eye * 0.14, -0.2)],
                size * 0.05,
                dark,
            )
            canvas.line(
                [self.at(eye * 0.4, 0.0), self.at(eye * 0.29, 0.04), self.at(eye * 0.17, 0.0)],
                size * 0.04,
                dark,
            )
        canvas.line(
            [self.at(0.02, -0.1), self.at(0.11, 0.22), self.at(0.0, 0.25)],
            size * 0.034,
            self.shadow,
        )
        if lips:
            self.shape(
                path("-0.17,0.49 -0.05,0.46 0.05,0.46 0.17,0.49 0,0.58"),
                mix(self.palette.accent, self.shadow, 0.25),
            )
            for cheek in (-1, 1):
                canvas.oval(
                    *self.at(cheek * 0.42, 0.26),
                    size * 0.12,
                    size * 0.08,
                    mix(self.skin, self.palette.accent, 0.3),
                )
        else:
            canvas.line(
                [self.at(-0.16, 0.5), self.at(0.0, 0.53), self.at(0.16, 0.5)],
                size * 0.036,
                shade(self.shadow, self.palette, 0.35),
            )

    def _beard(self, kind: str) -> None:
        if kind == "full":
            self.shape(
                path(
                    "-0.72,0.06 -0.5,0.34 -0.2,0.38 0,0.36 0.2,0.38 0.5,0.34 0.72,0.06 0.68,0.66 "
                    "0.3,1.14 0,1.22 -0.3,1.14 -0.68,0.66"
                ),
                self.hair,
            )
        elif kind == "chin":
            self.shape(
                path(
                    "-0.74,0 -0.56,0.36 -0.3,0.66 0,0.68 0.3,0.66 0.56,0.36 0.74,0 0.66,0.62 "
                    "0.26,1.12 -0.26,1.12 -0.66,0.62"
                ),
                self.hair,
            )
        elif kind == "sides":
            for cheek in (-1, 1):
                self.shape(
                    [
                        (cheek * 0.76, -0.3),
                        (cheek * 0.6, -0.2),
                        (cheek * 0.46, 0.3),
                        (cheek * 0.34, 0.52),
                        (cheek * 0.62, 0.56),
                        (cheek * 0.8, 0.2),
                    ],
                    self.hair,
                )

    def _crown(self) -> None:
        points = path("-0.62,-0.78 -0.7,-1.4 -0.34,-1.1 0,-1.52 0.34,-1.1 0.7,-1.4 0.62,-0.78")
        self.canvas.poly([self.at(*p) for p in points], self.palette.second)
        for px in (-0.4, 0.0, 0.4):
            self.canvas.disc(*self.at(px, -0.94), self.size * 0.07, self.palette.accent)
