"""The heads of the animals of the house, each of a few symmetrical shapes."""

from __future__ import annotations

from creditapp.generation.providers.offline_art.canvas import Colour, mix, path, smooth
from creditapp.generation.providers.offline_art.scenes.heads import (
    both,
    bust,
    eyes,
    nose,
    places,
    shape,
    whole,
)
from creditapp.generation.providers.offline_art.study import Study, shade


def _coat(study: Study) -> Colour:
    palette = study.palette
    if study.wishes.has("black"):
        return palette.dark
    if study.wishes.has("white", "snow", "arctic", "polar"):
        return palette.pale
    return study.dice.choice((palette.accent, palette.second, mix(palette.dark, palette.mid, 0.35)))


def cat(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A cat."""
    del kind
    palette, at = study.palette, places(x, y, size)
    coat = _coat(study)
    dark = shade(coat, palette, 0.25)
    bust(study, at, dark)
    for ear in both(path("0.3,-0.62 0.7,-1.08 0.86,-0.3")):
        shape(study, at, ear, coat, round_=False)
        inner = [(px * 0.93 + (0.03 if px > 0 else -0.03), py * 0.86) for px, py in ear]
        shape(study, at, inner, mix(palette.accent, palette.pale, 0.5), round_=False)
    head = whole(path("0,-0.72 0.42,-0.68 0.84,-0.3 0.9,0.08 0.62,0.46 0.24,0.62 0,0.64"))
    study.canvas.cut(smooth([at(*p) for p in head]), coat, 0.8)
    for offset in (-0.16, 0.0, 0.16):
        shape(study, at, [(offset - 0.035, -0.68), (offset + 0.035, -0.68), (offset, -0.36)], dark)
    for mark in both(path("0.9,0.02 0.62,0.06 0.88,0.12")):
        shape(study, at, mark, dark, round_=False)
    shape(
        study,
        at,
        whole(path("0,0.14 0.26,0.2 0.32,0.42 0,0.6")),
        mix(coat, palette.pale, 0.75),
    )
    eyes(study, at, 0.4, -0.08, 0.18, palette.glow)
    nose(study, at, 0.24, 0.085)
    for side in (-1, 1):
        for rise in (-0.07, 0.03, 0.13):
            study.canvas.line(
                [at(side * 0.34, 0.32 + rise * 0.4), at(side * 1.12, 0.26 + rise * 1.6)],
                2.2,
                palette.pale,
            )


def dog(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A friendly dog with hanging ears."""
    del kind
    palette, at = study.palette, places(x, y, size)
    tan = mix(palette.glow, palette.accent, 0.22)
    coat = study.dice.choice((tan, mix(tan, palette.pale, 0.5), mix(tan, palette.dark, 0.45)))
    ear_colour = shade(coat, palette, 0.5)
    bust(study, at, shade(coat, palette, 0.2))
    shape(
        study,
        at,
        path("-0.52,0.66 0.52,0.66 0.56,0.84 -0.56,0.84"),
        palette.accent,
        round_=False,
    )
    head = whole(path("0,-0.78 0.44,-0.72 0.68,-0.3 0.6,0.24 0.36,0.62 0,0.7"))
    study.canvas.cut(smooth([at(*p) for p in head]), coat, 0.8)
    for ear in both(path("0.36,-0.72 0.8,-0.62 0.98,0.04 0.82,0.36 0.66,0.1 0.56,-0.4")):
        shape(study, at, ear, ear_colour)
    shape(
        study,
        at,
        whole(path("0,-0.7 0.12,-0.2 0.4,0.2 0.34,0.54 0,0.68")),
        mix(coat, palette.pale, 0.75),
    )
    eyes(study, at, 0.33, -0.14, 0.11, palette.dark)
    shape(study, at, whole(path("0,0.42 0.1,0.46 0.08,0.74 0,0.8")), palette.accent)
    study.canvas.oval(*at(0, 0.2), size * 0.16, size * 0.11, palette.dark)
    width = size * 0.024
    study.canvas.line([at(0, 0.28), at(0, 0.42)], width, palette.dark)
    for side in (-1, 1):
        study.canvas.line(
            [at(0, 0.42), at(side * 0.14, 0.48), at(side * 0.27, 0.4)], width, palette.dark
        )


def rabbit(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A rabbit with one ear that bends."""
    del kind
    palette, at = study.palette, places(x, y + size * 0.12, size)
    coat = mix(palette.pale, study.dice.choice((palette.far, palette.second, palette.mid)), 0.3)
    bust(study, at, shade(coat, palette, 0.14))
    pink = mix(palette.accent, palette.pale, 0.55)
    for ear in both(path("0.1,-0.5 0.14,-1.3 0.34,-1.66 0.5,-1.3 0.46,-0.5")):
        shape(study, at, ear, coat)
        shape(
            study,
            at,
            [(px * 0.78 + (0.07 if px > 0 else -0.07), py * 0.92) for px, py in ear],
            pink,
        )
    head = whole(path("0,-0.7 0.44,-0.62 0.76,-0.1 0.74,0.3 0.4,0.6 0,0.66"))
    study.canvas.cut(smooth([at(*p) for p in head]), coat, 0.8)
    for side in (-1, 1):
        study.canvas.oval(*at(side * 0.5, 0.26), size * 0.15, size * 0.1, pink)
        study.canvas.oval(*at(side * 0.14, 0.4), size * 0.2, size * 0.16, palette.pale)
    for tooth in (-0.055, 0.055):
        place = at(tooth, 0.58)
        study.canvas.oval(place[0], place[1], size * 0.05, size * 0.09, palette.pale)
    eyes(study, at, 0.38, -0.1, 0.13, palette.dark)
    nose(study, at, 0.22, 0.08)
