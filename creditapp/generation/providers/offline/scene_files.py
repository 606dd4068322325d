"""Scenes and weather: SVG files that name the words of a prompt they are for.

A scene is ``scenes/<name>.svg``, a weather ``weather/<name>.svg``. Their root element carries

* ``data-words``: the words that choose the file;
* ``data-kind``: ``subject`` outweighs ``place``, so that a fox in a forest is an image of a fox;
* ``data-light``: words that choose the palette when the prompt names no light;
* ``data-lettering``: x, y, width and height of the place for a sign's text;
* ``data-mirror="no"``: the scene is never mirrored.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from creditapp.generation.providers.offline.prompts import words_of

HERE = Path(__file__).parent
FALLBACK = "abstract"
WEIGHTS = {"subject": 3.0, "place": 2.0}


@dataclass(frozen=True, slots=True)
class SceneFile:
    """One SVG file with what its root element says about it."""

    name: str
    svg: str
    description: str
    words: frozenset[str]
    kind: str
    light: tuple[str, ...]
    lettering: tuple[float, ...]
    mirror: bool

    def root(self) -> ET.Element:
        """Return the parsed file, new at each call, to be changed by the caller."""
        return ET.fromstring(self.svg)  # noqa: S314  # a file of this package


def read_folder(folder: str) -> Mapping[str, SceneFile]:
    """Return the files of ``scenes`` or ``weather`` by name; a changed file is read again."""
    paths = sorted((HERE / folder).glob("*.svg"))
    return {path.stem: _read(path, path.stat().st_mtime_ns) for path in paths}


def read_parts(name: str) -> ET.Element:
    """Return a file of drawings that scenes share, parsed."""
    return ET.fromstring((HERE / name).read_text(encoding="utf-8"))  # noqa: S314  # our file


@lru_cache(maxsize=256)
def _read(path: Path, modified_ns: int) -> SceneFile:
    svg = path.read_text(encoding="utf-8")
    root = ET.fromstring(svg)  # noqa: S314  # a file of this package
    return SceneFile(
        name=path.stem,
        svg=svg,
        description=root.findtext("{*}desc", "").strip(),
        words=frozenset(words_of(root.get("data-words", ""))),
        kind=root.get("data-kind", "place"),
        light=words_of(root.get("data-light", "")),
        lettering=tuple(float(number) for number in root.get("data-lettering", "").split()),
        mirror=root.get("data-mirror") != "no",
    )


def choose_scene(words: Sequence[str], *, lettered: bool = False) -> SceneFile:
    """Return the scene that most words of the prompt ask for; the abstract one if none does.

    ``lettered``: the prompt has text to be written, which only a scene with lettering can show.
    """
    scenes = read_folder("scenes")
    scores = {name: _score(scene, words) for name, scene in scenes.items()}
    for name, scene in scenes.items():
        if lettered and scene.lettering:
            scores[name] += 4
    best = max(scores, key=lambda name: scores[name])
    return scenes[best if scores[best] else FALLBACK]


def _score(scene: SceneFile, words: Sequence[str]) -> float:
    # A sentence names first what it is about.
    weight = WEIGHTS[scene.kind]
    return sum(weight + 1 / (1 + at) for at, word in enumerate(words) if word in scene.words)


def choose_weather(words: Sequence[str]) -> SceneFile | None:
    """Return the weather that the prompt names first, or None."""
    for word in words:
        for weather in read_folder("weather").values():
            if word in weather.words:
                return weather
    return None
