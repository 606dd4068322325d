"""Drawing of one preview: prompt, model and seed in, PNG out."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import resvg_py
from PIL import Image

from creditapp.generation.providers.offline import finish
from creditapp.generation.providers.offline.compose import compose, lettering_box
from creditapp.generation.providers.offline.palettes import choose_palette
from creditapp.generation.providers.offline.prompts import lettering, words_of
from creditapp.generation.providers.offline.scene_files import choose_scene, choose_weather


def _no_progress(share: float) -> None:
    pass


def draw_png(
    prompt: str,
    *,
    model: str,
    seed: int,
    width: int,
    height: int,
    source: bytes | None = None,
    progress: Callable[[float], None] = _no_progress,
) -> bytes:
    """Return a PNG of exactly ``width`` x ``height`` with its origin in the metadata.

    The same arguments give the same bytes. With ``source``, an image that ``images.inspect``
    accepts, the result is that image in the prompt's colours. ``progress`` receives the finished
    share, from 0 to 1.
    """
    dice = random.Random(f"{prompt}|{model}|{seed}")  # noqa: S311  # art, not a secret
    words = words_of(prompt)
    text = lettering(prompt)
    scene = choose_scene(words, lettered=bool(text))
    palette = choose_palette(words, scene.light, dice)
    if source is not None:
        image = finish.recolour(source, palette, width, height)
    else:
        weather = choose_weather(words)
        background, foreground = compose(scene, weather, palette, words, dice, width, height)
        image = rasterise(background).resize((width, height), Image.Resampling.BICUBIC)
        image.alpha_composite(rasterise(foreground))
        image = image.convert("RGB")
        if scene.lettering:
            box = lettering_box(scene.lettering, width, height)
            finish.letter(image, text or "Open", box, palette)
    progress(0.6)
    image = finish.grain(finish.tone(image, model))
    finish.mark(image)
    progress(0.8)
    data = finish.to_png(image, {"Prompt": prompt, "Model": model, "Seed": str(seed)})
    progress(1.0)
    return data


def rasterise(svg: str) -> Image.Image:
    """Return an SVG as an image of its own size."""
    # No scene has SVG text, so that an image does not depend on the fonts of the machine.
    png = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")
