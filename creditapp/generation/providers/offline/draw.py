"""Drawing of previews: prompt, model and seed in, images out."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import resvg_py
from PIL import Image

from creditapp.generation.providers.offline import finish
from creditapp.generation.providers.offline.compose import Composition, compose, lettering_box
from creditapp.generation.providers.offline.palettes import choose_palette
from creditapp.generation.providers.offline.prompts import lettering, words_of
from creditapp.generation.providers.offline.scene_files import choose_scene, choose_weather


def _no_progress(share: float) -> None:
    pass


class Drawing:
    """The scene of a prompt, a model and a seed. The same arguments give the same images.

    ``style`` changes the tone. Scenes, palettes and weathers of ``negative_prompt`` are not chosen.
    """

    def __init__(
        self,
        prompt: str,
        model: str,
        seed: int,
        *,
        style: str | None = None,
        negative_prompt: str | None = None,
    ) -> None:
        self.dice = random.Random(f"{prompt}|{model}|{seed}")  # noqa: S311  # art, not a secret
        unwanted = frozenset(words_of(negative_prompt or ""))
        self._words = tuple(word for word in words_of(prompt) if word not in unwanted)
        self._text = lettering(prompt)
        self._scene = choose_scene(self._words, lettered=bool(self._text))
        self.palette = choose_palette(self._words, self._scene.light, self.dice, unwanted)
        self._model, self._style = model, style
        self.origin = {"Prompt": prompt, "Model": model, "Seed": str(seed)}
        """Text of the file's metadata."""

    def scene(self, width: int, height: int) -> Image.Image:
        """Return the scene in one image, without tone, grain and mark. To be called once."""
        composition = self._compose(width, height)
        image = _background(composition)
        image.alpha_composite(rasterise(composition.foreground("middle", "near")))
        return self._lettered(image.convert("RGB"))

    def layers(self, width: int, height: int) -> tuple[Image.Image, Image.Image]:
        """Return what is far and, on a transparent ground, what is near, both with their tone.

        To be called once, in place of ``scene``.
        """
        composition = self._compose(width, height)
        far = _background(composition)
        far.alpha_composite(rasterise(composition.foreground("middle")))
        near = rasterise(composition.foreground("near"))
        toned = self.tone(near.convert("RGB"))
        toned.putalpha(near.getchannel("A"))
        return self.tone(self._lettered(far.convert("RGB"))), toned

    def tone(self, image: Image.Image) -> Image.Image:
        """Return the image in the tone of the model and the style."""
        key = f"{self._model}|{self._style}" if self._style else self._model
        return finish.tone(image, key)

    def _compose(self, width: int, height: int) -> Composition:
        weather = choose_weather(self._words)
        return compose(self._scene, weather, self.palette, self._words, self.dice, width, height)

    def _lettered(self, image: Image.Image) -> Image.Image:
        if self._scene.lettering:
            box = lettering_box(self._scene.lettering, image.width, image.height)
            finish.letter(image, self._text or "Open", box, self.palette)
        return image


def draw_png(
    prompt: str,
    *,
    model: str,
    seed: int,
    width: int,
    height: int,
    style: str | None = None,
    negative_prompt: str | None = None,
    progress: Callable[[float], None] = _no_progress,
    note_partial: Callable[[bytes], None] | None = None,
) -> bytes:
    """Return a PNG of exactly ``width`` x ``height`` with its origin in the metadata.

    The same arguments give the same bytes. ``progress`` receives the finished share, from 0 to 1,
    ``note_partial`` the image without tone and grain, and then without grain.
    """
    drawing = Drawing(prompt, model, seed, style=style, negative_prompt=negative_prompt)
    image = drawing.scene(width, height)
    progress(0.6)
    if note_partial is not None:
        note_partial(_partial(image, drawing))
    image = drawing.tone(image)
    if note_partial is not None:
        note_partial(_partial(image, drawing))
    image = finish.grain(image)
    finish.mark(image)
    progress(0.8)
    data = finish.to_png(image, drawing.origin)
    progress(1.0)
    return data


def _partial(image: Image.Image, drawing: Drawing) -> bytes:
    """Return an unfinished state of a preview, marked as one."""
    state = image.copy()
    finish.mark(state)
    return finish.to_png(state, drawing.origin)


def _background(composition: Composition) -> Image.Image:
    size = (composition.width, composition.height)
    return rasterise(composition.background()).resize(size, Image.Resampling.BICUBIC)


def rasterise(svg: str) -> Image.Image:
    """Return an SVG as an image of its own size."""
    # No scene has SVG text, so that an image does not depend on the fonts of the machine.
    png = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")
