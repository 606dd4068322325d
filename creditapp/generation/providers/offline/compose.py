"""Composition of a scene: its file with colours, variations and the requested size.

A scene is drawn for the square from 0,0 to 1000,1000, which every format shows whole, and goes on
for 1000 units on each side of it, of which wide and high formats show as much as they need. These
attributes of any element let the seed vary it:

* ``data-scatter="40"`` with ``data-area="x y width height"`` and ``data-size="0.4 1.2"``: that many
  copies at random places of the area, the first size at its top, the second at its bottom;
* ``data-shift="sun 200 60"``: moved by at most so much; equal names move together;
* ``data-chance="0.5"``: left out at random;
* ``data-when="night"``: only in that light (``day``, ``night``) or weather;
* ``data-soft``: a gradient without edges behind everything else, drawn small and enlarged, because
  large gradients are slow;
* ``data-near``: in front of everything before it; in a video it moves faster than what is behind;
* ``data-choose``: one child only, the one whose ``data-words`` the prompt has, else any.

``<use href="../parts.svg#name"/>`` takes a drawing from the file that scenes share, and
``<g id="weather"/>`` is the place for rain or snow if it is not the whole image.
"""

from __future__ import annotations

import copy
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from creditapp.generation.providers.offline.palettes import Palette
from creditapp.generation.providers.offline.scene_files import SceneFile, read_parts

SVG = "http://www.w3.org/2000/svg"
SIDE = 1000
BLEED = 1000
SOFT_SCALE = 4
ET.register_namespace("", SVG)


def compose(
    scene: SceneFile,
    weather: SceneFile | None,
    palette: Palette,
    words: Sequence[str],
    dice: random.Random,
    width: int,
    height: int,
) -> Composition:
    """Return the scene of one image, varied by ``dice``."""
    root = scene.root()
    _insert_parts(root)
    if weather is not None:
        _add_weather(root, weather.root())
    moods = {"night" if palette.night else "day"}
    if weather is not None:
        moods.add(weather.name)
    _Variation(words, moods, dice).apply(root)
    if scene.mirror and dice.random() < 0.5:
        _mirror(root)
    left, top, view_width, view_height = _view(width, height)
    root.set("viewBox", f"{left} {top} {view_width} {view_height}")
    root.set("preserveAspectRatio", "none")
    return Composition(root, palette, width, height)


@dataclass(frozen=True, slots=True)
class Composition:
    """The scene of one image, of which each layer can be drawn by itself."""

    root: ET.Element
    palette: Palette
    width: int
    height: int

    def background(self) -> str:
        """Return the soft layer as an SVG that is to be enlarged to the image's size."""
        small = max(1, self.width // SOFT_SCALE), max(1, self.height // SOFT_SCALE)
        return self._svg(("soft",), *small)

    def foreground(self, *layers: str) -> str:
        """Return ``middle``, ``near`` or both as an SVG of the image's size."""
        return self._svg(layers, self.width, self.height)

    def _svg(self, layers: Sequence[str], width: int, height: int) -> str:
        root = copy.deepcopy(self.root)
        _keep(root, layers)
        root.set("width", str(width))
        root.set("height", str(height))
        text = ET.tostring(root, encoding="unicode")
        return re.sub(r"var\(--([a-z]+)\)", lambda role: self.palette.colours[role[1]], text)


def _keep(element: ET.Element, layers: Sequence[str]) -> None:
    """Remove what is in none of ``layers``; gradients, clips and groups stay."""
    for child in list(element):
        if child.tag.endswith(("Gradient", "clipPath")):
            continue
        if "data-near" in child.attrib:
            layer = "near"
        elif child.tag == f"{{{SVG}}}g":
            _keep(child, layers)
            continue
        else:
            layer = "soft" if "data-soft" in child.attrib else "middle"
        if layer not in layers:
            element.remove(child)


def _add_weather(root: ET.Element, weather: ET.Element) -> None:
    """Put rain or snow into its place in the scene, or in front of everything."""
    place = root.find(".//*[@id='weather']")
    if place is not None:
        place.extend(weather)
        return
    for element in weather:
        element.set("data-near", "yes")
        root.append(element)


def lettering_box(
    area: Sequence[float], width: int, height: int
) -> tuple[float, float, float, float]:
    """Return an area of a scene as x, y, width and height in pixels."""
    left, top, view_width, view_height = _view(width, height)
    x, y, area_width, area_height = area
    across, down = width / view_width, height / view_height
    return (x - left) * across, (y - top) * down, area_width * across, area_height * down


def _view(width: int, height: int) -> tuple[float, float, float, float]:
    """Return the part of the scene to show: the square, and more of its longer side."""
    longest = SIDE + 2 * BLEED
    # A strip longer than what is drawn loses some of the square instead.
    unit = min(SIDE / min(width, height), longest / max(width, height))
    view_width, view_height = width * unit, height * unit
    return (SIDE - view_width) / 2, (SIDE - view_height) / 2, view_width, view_height


def _insert_parts(root: ET.Element) -> None:
    """Replace each ``use`` of another file by the element it names."""
    for parent in list(root.iter()):
        for index, child in enumerate(list(parent)):
            path, _, name = child.get("href", "").partition("#")
            if not path:
                continue
            part = read_parts(path.removeprefix("../")).find(f".//*[@id='{name}']")
            if part is None:
                raise LookupError(f"{path} has no element {name}")
            group = ET.Element(f"{{{SVG}}}g", {**child.attrib})
            del group.attrib["href"]
            x, y = group.attrib.pop("x", "0"), group.attrib.pop("y", "0")
            moved = f"{group.get('transform', '')} translate({x} {y})"
            group.set("transform", moved.strip())
            group.append(part)
            parent[index] = group


class _Variation:
    """Changes of one image, thrown with its dice in the order of the file."""

    def __init__(self, words: Sequence[str], moods: set[str], dice: random.Random) -> None:
        self._words = set(words)
        self._moods = moods
        self._dice = dice
        self._shifts: dict[str, tuple[float, float]] = {}

    def apply(self, element: ET.Element) -> None:
        """Vary an element and everything in it."""
        if "data-choose" in element.attrib:
            element[:] = [self._choose(list(element))]
        for child in list(element):
            if self._hidden(child):
                element.remove(child)
                continue
            self._shift(child)
            if "data-scatter" in child.attrib:
                self._scatter(child)
            else:
                self.apply(child)

    def _choose(self, children: list[ET.Element]) -> ET.Element:
        named = [
            child for child in children if self._words & set(child.get("data-words", "").split())
        ]
        return self._dice.choice(named or children)

    def _hidden(self, element: ET.Element) -> bool:
        when = element.get("data-when")
        if when is not None and not self._moods & set(when.split()):
            return True
        chance = element.get("data-chance")
        return chance is not None and self._dice.random() > float(chance)

    def _shift(self, element: ET.Element) -> None:
        if "data-shift" not in element.attrib:
            return
        name, reach_x, reach_y = element.attrib["data-shift"].split()
        if name not in self._shifts:
            self._shifts[name] = (self._dice.uniform(-1, 1), self._dice.uniform(-1, 1))
        x, y = self._shifts[name]
        moved = f"translate({x * float(reach_x):.1f} {y * float(reach_y):.1f})"
        element.set("transform", f"{moved} {element.get('transform', '')}".strip())

    def _scatter(self, element: ET.Element) -> None:
        count = int(element.attrib["data-scatter"])
        x, y, width, height = (float(each) for each in element.attrib["data-area"].split())
        small, large = (float(each) for each in element.get("data-size", "1 1").split())
        originals = list(element)
        element[:] = []
        # From the back to the front, so that near things cover far ones.
        for down in sorted(self._dice.random() for _ in range(count)):
            size = (small + (large - small) * down) * self._dice.uniform(0.85, 1.15)
            across = x + self._dice.random() * width
            place = f"translate({across:.1f} {y + down * height:.1f}) scale({size:.3f})"
            group = ET.SubElement(element, f"{{{SVG}}}g", {"transform": place})
            group.append(copy.deepcopy(self._dice.choice(originals)))
            self.apply(group)


def _mirror(root: ET.Element) -> None:
    group = ET.Element(f"{{{SVG}}}g", {"transform": f"translate({SIDE} 0) scale(-1 1)"})
    group.extend(list(root))
    root[:] = [group]
