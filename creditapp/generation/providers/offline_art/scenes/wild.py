"""The heads of wild animals and of a robot, each of a few symmetrical shapes."""

from __future__ import annotations

import math

from creditapp.generation.providers.offline_art.canvas import mix, path, smooth
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


def fox(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A fox, or in grey a wolf."""
    palette, at = study.palette, places(x, y, size)
    coat = (
        mix(palette.accent, palette.second, 0.25)
        if kind == "fox"
        else mix(palette.near, palette.pale, 0.4)
    )
    if study.wishes.has("white", "arctic"):
        coat = mix(palette.pale, palette.sky[1], 0.16)
    dark, white = palette.dark, palette.pale
    bust(study, at, shade(coat, palette, 0.22))
    shape(study, at, whole(path("0,0.4 0.34,0.62 0.3,1.1 0,1.5")), white)
    for ear in both(path("0.2,-0.52 0.72,-1.18 0.88,-0.2")):
        shape(study, at, ear, coat, round_=False)
    for ear in both(path("0.4,-0.56 0.7,-0.98 0.78,-0.36")):
        shape(study, at, ear, dark, round_=False)
    head = whole(path("0,-0.56 0.5,-0.5 0.82,-0.2 1.06,0.16 0.5,0.44 0,0.86"))
    study.canvas.cut([at(*p) for p in head], coat, 0.8)
    for cheek in both(path("1.06,0.16 0.62,0.1 0.2,0.3 0,0.86 0.5,0.44")):
        shape(study, at, cheek, white, round_=False)
    shape(
        study,
        at,
        whole(path("0,-0.5 0.2,0.1 0.12,0.6 0,0.8")),
        shade(coat, palette, 0.1),
        round_=False,
    )
    for eye in both(path("0.24,-0.02 0.46,-0.14 0.56,-0.04 0.4,0.06")):
        shape(study, at, eye, dark)
    for side in (-1, 1):
        study.canvas.disc(*at(side * 0.41, -0.06), size * 0.03, palette.glow)
    study.canvas.oval(*at(0, 0.76), size * 0.12, size * 0.09, dark)


def owl(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """An owl, or in black and white a penguin."""
    palette, at = study.palette, places(x, y, size)
    bird = kind == "penguin"
    coat = palette.dark if bird else mix(palette.near, palette.second, 0.4)
    body = whole(path("0,-0.86 0.5,-0.8 0.86,-0.2 0.92,0.7 0.7,1.6"))
    study.canvas.cut(smooth([at(*p) for p in body]), coat, 0.8)
    if bird:
        shape(
            study,
            at,
            whole(path("0,-0.3 0.34,-0.5 0.6,-0.14 0.62,0.8 0.4,1.6")),
            palette.pale,
        )
    else:
        for tuft in both(path("0.14,-0.7 0.66,-1.12 0.8,-0.36")):
            shape(study, at, tuft, coat, round_=False)
        shape(
            study,
            at,
            whole(path("0,0.2 0.5,0.4 0.56,1 0.3,1.6")),
            mix(coat, palette.pale, 0.5),
        )
        for row in range(4):
            for column in range(-2, 3):
                px = column * 0.2 + (0.1 if row % 2 else 0)
                if abs(px) < 0.46:
                    place = at(px, 0.56 + row * 0.2)
                    study.canvas.oval(
                        place[0], place[1], size * 0.07, size * 0.1, shade(coat, palette, 0.15)
                    )
    for side in (-1, 1):
        face = at(side * 0.32, -0.22)
        study.canvas.disc(
            face[0], face[1], size * 0.36, mix(coat, palette.pale, 0.62 if not bird else 0.95)
        )
        for ray in range(0 if bird else 12):
            a = ray / 12 * math.tau
            study.canvas.line(
                [
                    (face[0] + math.cos(a) * size * 0.25, face[1] + math.sin(a) * size * 0.25),
                    (face[0] + math.cos(a) * size * 0.33, face[1] + math.sin(a) * size * 0.33),
                ],
                2.4,
                coat,
            )
    eyes(study, at, 0.32, -0.22, 0.2 if not bird else 0.12, palette.glow)
    shape(study, at, path("-0.1,-0.08 0.1,-0.08 0,0.2"), palette.accent)


def bear(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A bear; a panda, koala and mouse are bears of another colour here."""
    palette, at = study.palette, places(x, y, size)
    coat = {
        "panda": palette.pale,
        "koala": mix(palette.mid, palette.pale, 0.45),
        "mouse": mix(palette.mid, palette.pale, 0.6),
    }.get(
        kind,
        palette.pale
        if study.wishes.has("polar", "white")
        else mix(palette.near, palette.accent, 0.3),
    )
    dark = palette.dark if kind == "panda" else shade(coat, palette, 0.3)
    big = 0.46 if kind in ("koala", "mouse") else 0.3
    bust(study, at, dark, 0.95)
    for side in (-1, 1):
        ear = at(side * (0.66 + (big - 0.3)), -0.62)
        study.canvas.disc(ear[0], ear[1], size * big, dark if kind == "panda" else coat)
        study.canvas.disc(ear[0], ear[1], size * big * 0.55, mix(dark, palette.accent, 0.3))
    head = whole(path("0,-0.82 0.5,-0.74 0.88,-0.26 0.9,0.2 0.6,0.58 0,0.7"))
    study.canvas.cut(smooth([at(*p) for p in head]), coat, 0.8)
    if kind == "panda":
        for side in (-1, 1):
            place = at(side * 0.37, -0.08)
            study.canvas.oval(place[0], place[1], size * 0.2, size * 0.27, dark, side * 0.5)
    else:
        study.canvas.oval(*at(0, 0.3), size * 0.4, size * 0.32, mix(coat, palette.pale, 0.5))
    eyes(study, at, 0.37, -0.1, 0.11, palette.glow if kind == "panda" else palette.dark)
    if kind == "koala":
        study.canvas.oval(*at(0, 0.16), size * 0.17, size * 0.27, palette.dark)
    else:
        nose(study, at, 0.2, 0.14)


def lion(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A lion in his mane, or a tiger in stripes."""
    palette, at = study.palette, places(x, y, size)
    tiger = kind == "tiger"
    coat = mix(palette.glow, palette.accent, 0.5 if tiger else 0.26)
    mane = mix(palette.accent, palette.dark, 0.3)
    bust(study, at, shade(coat, palette, 0.3), 0.95)
    if not tiger:
        for ring, colour in ((1.28, shade(mane, palette, 0.3)), (1.08, mane)):
            points = []
            for n in range(36):
                a = n / 36 * math.tau
                far = ring * (1.0 if n % 2 else 0.84)
                points.append((math.cos(a) * far, math.sin(a) * far * 0.98 - 0.02))
            study.canvas.cut([at(*p) for p in points], colour, 0.7)
    for side in (-1, 1):
        ear = at(side * 0.6, -0.64)
        study.canvas.disc(ear[0], ear[1], size * 0.24, coat)
        study.canvas.disc(ear[0], ear[1], size * 0.13, shade(coat, palette, 0.4))
    head = whole(path("0,-0.74 0.46,-0.68 0.76,-0.2 0.68,0.26 0.42,0.62 0,0.74"))
    study.canvas.cut(smooth([at(*p) for p in head]), coat, 0.8)
    shape(
        study,
        at,
        whole(path("0,0.1 0.3,0.2 0.4,0.46 0.22,0.68 0,0.72")),
        mix(coat, palette.pale, 0.8),
    )
    if tiger:
        for stripe in (
            path("0,-0.74 0.07,-0.5 0,-0.36 -0.07,-0.5"),
            *both(path("0.2,-0.72 0.34,-0.5 0.22,-0.4")),
            *both(path("0.76,-0.2 0.5,-0.14 0.76,-0.06")),
            *both(path("0.72,0.06 0.46,0.1 0.7,0.18")),
        ):
            shape(study, at, stripe, palette.dark, round_=False)
    else:
        shape(
            study,
            at,
            whole(path("0,-0.6 0.16,-0.1 0.2,0.2 0,0.26")),
            mix(coat, palette.pale, 0.25),
        )
    eyes(study, at, 0.34, -0.12, 0.12, palette.glow)
    nose(study, at, 0.24, 0.14)


def robot(study: Study, kind: str, x: float, y: float, size: float) -> None:
    """A robot of the friendly sort."""
    del kind
    palette, at = study.palette, places(x, y, size)
    metal = mix(palette.pale, palette.mid, 0.32)
    dark = shade(metal, palette, 0.4)
    canvas = study.canvas
    canvas.cut([at(-0.9, 1.0), at(0.9, 1.0), at(1.05, 2.0), at(-1.05, 2.0)], dark, 0.8)
    canvas.rect(*at(-0.24, 0.6), *at(0.24, 1.02), shade(dark, palette, 0.3))
    canvas.line([at(0, -0.8), at(0, -1.1)], size * 0.05, dark)
    canvas.disc(*at(0, -1.14), size * 0.1, palette.accent)
    for side in (-1, 1):
        canvas.rect(*at(side * 0.98 - 0.1, -0.24), *at(side * 0.98 + 0.1, 0.24), palette.accent)
    corners = path("-0.9,-0.78 0.9,-0.78 0.94,0.66 -0.94,0.66")
    canvas.cut([at(*p) for p in corners], metal, 0.8)
    canvas.poly(
        [at(0.62, -0.78), at(0.9, -0.78), at(0.94, 0.66), at(0.62, 0.66)],
        shade(metal, palette, 0.14),
    )
    canvas.rect(*at(-0.7, -0.5), *at(0.7, 0.16), palette.dark)
    for side in (-1, 1):
        canvas.disc(*at(side * 0.34, -0.17), size * 0.2, palette.glow)
        canvas.disc(*at(side * 0.34, -0.17), size * 0.1, palette.pale)
    canvas.rect(*at(-0.44, 0.3), *at(0.44, 0.52), palette.dark)
    for n in range(5):
        canvas.rect(*at(-0.4 + n * 0.17, 0.34), *at(-0.29 + n * 0.17, 0.48), palette.second)
    canvas.disc(*at(0.0, 1.46), size * 0.17, palette.accent)
