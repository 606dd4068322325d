"""The offline provider's studio: prompt and seed in, PNG out."""

from __future__ import annotations

import random
from collections.abc import Callable

from creditapp.generation.providers.offline_art import finish, styles
from creditapp.generation.providers.offline_art.palettes import PALETTES
from creditapp.generation.providers.offline_art.restyle import restyle
from creditapp.generation.providers.offline_art.scenes import (
    canyon,
    castle,
    city,
    creatures,
    hills,
    lighthouse,
    meadow,
    people,
    rooms,
    shapes,
    signs,
    space,
    still,
    waterside,
    woods,
)
from creditapp.generation.providers.offline_art.study import Study
from creditapp.generation.providers.offline_art.wishes import read_prompt

SCENES: dict[str, Callable[[Study], None]] = {
    "harbour": waterside.harbour,
    "lighthouse": lighthouse.lighthouse,
    "sea": waterside.sea,
    "city": city.city,
    "mountain": hills.mountain,
    "desert": hills.desert,
    "forest": woods.forest,
    "flowers": meadow.flowers,
    "canyon": canyon.canyon,
    "castle": castle.castle,
    "abstract": shapes.abstract,
    "space": space.space,
    "animal": creatures.animal,
    "portrait": people.portrait,
    "interior": rooms.interior,
    "still": still.still,
    "sign": signs.sign,
}


def _nothing(share: float) -> None:
    pass


def draw_png(
    prompt: str,
    *,
    model: str,
    seed: int,
    width: int,
    height: int,
    source: bytes | None = None,
    progress: Callable[[float], None] = _nothing,
) -> bytes:
    """Draw ``prompt`` and return a PNG of exactly ``width`` x ``height`` with its metadata.

    With ``source``, a picture, it is that picture printed anew in the prompt's colours. The same
    arguments give the same bytes. ``progress`` is told the share of the work behind us.
    """
    dice = random.Random(f"{prompt}|{model}|{seed}")  # noqa: S311  # art, not a secret
    wishes = read_prompt(prompt, model, dice)
    study = Study(
        styles.sheet_for(wishes.style, wishes.scene, width, height),
        PALETTES[wishes.palette],
        dice,
        wishes,
    )
    if source is None:
        styles.prepare(study, wishes.style)
        SCENES[wishes.scene](study)
        image = study.canvas.image.reduce(study.canvas.samples)
    else:
        image = restyle(source, study.palette, width, height)
    progress(0.6)
    image = styles.finish_picture(image, study, wishes.style)
    finish.plate(image)
    progress(0.8)
    data = finish.to_png(image, {"Prompt": prompt, "Model": model, "Seed": str(seed)})
    progress(1.0)
    return data
