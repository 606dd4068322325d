"""Palettes by time of day, weather and mood, read from ``palettes.toml``."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from creditapp.generation.providers.offline.prompts import words_of

ROLES = ("sky", "haze", "far", "middle", "near", "shade", "light", "accent")


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by their role in a scene, each as ``#rrggbb``."""

    name: str
    words: frozenset[str]
    night: bool
    colours: dict[str, str]

    def tones(self) -> list[tuple[int, int, int]]:
        """Return the colours without the accent from the darkest to the lightest."""
        values = [rgb(colour) for role, colour in self.colours.items() if role != "accent"]
        return sorted(values, key=luminance)


def rgb(colour: str) -> tuple[int, int, int]:
    """Return ``#rrggbb`` as three numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: tuple[int, int, int]) -> float:
    """Return how light a colour is, from 0 to 255 (ITU-R BT.601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


@cache
def read_palettes() -> tuple[Palette, ...]:
    """Return every palette of the file."""
    file = Path(__file__).with_name("palettes.toml")
    return tuple(
        Palette(
            name,
            frozenset(words_of(entry["words"])),
            entry.get("night", False),
            {role: entry[role] for role in ROLES},
        )
        for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items()
    )


def choose_palette(
    words: Sequence[str],
    usual: Sequence[str],
    dice: random.Random,
    unwanted: frozenset[str] = frozenset(),
) -> Palette:
    """Return a palette for the words of the prompt, for the usual light of the scene, or any.

    One for an ``unwanted`` word is chosen only when there is no other.
    """
    palettes = [each for each in read_palettes() if not each.words & unwanted] or read_palettes()
    return dice.choice(_matching(words, palettes) or _matching(usual, palettes) or palettes)


def _matching(words: Sequence[str], palettes: Sequence[Palette]) -> list[Palette]:
    """Return the palettes that share the most words."""
    scores = [len(palette.words & set(words)) for palette in palettes]
    best = max(scores)
    return [palette for palette, score in zip(palettes, scores, strict=True) if 0 < score == best]
