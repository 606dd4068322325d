"""Edits: the source images in the colours of the prompt, or a new part where the mask is open."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageFilter, ImageOps

from creditapp.generation.providers.offline import finish
from creditapp.generation.providers.offline.draw import Drawing
from creditapp.generation.providers.offline.palettes import Palette
from creditapp.generation.providers.offline.sources import check, open_image, refuse
from creditapp.generation.providers.protocol import ImageRequest, SourceFile

Size = tuple[int, int]

TRANSPARENT = 128
"""An alpha below this one is transparent."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The images of an edit, at the size of the result."""

    base: Image.Image
    """The first image with a mask, all of them side by side without one."""
    opening: Image.Image | None = None
    """White where the base may change; without a mask None."""
    insert: Image.Image | None = None
    """With a mask, the further images: what is to be put into the opening."""


def read_sources(request: ImageRequest) -> Sources:
    """Return the images of a request; raise ``GenerationFailed`` for one that cannot be used."""
    for each in request.images:
        check(each)
    size = (request.width, request.height)
    if request.mask is None:
        return Sources(_side_by_side(request.images, size))
    first = open_image(request.images[0])
    opening = _opening(request.mask, first.size, size)
    further = request.images[1:]
    insert = _side_by_side(further, size) if further else None
    return Sources(ImageOps.fit(first, size, Image.Resampling.LANCZOS), opening, insert)


def edit_png(
    request: ImageRequest, sources: Sources, seed: int, progress: Callable[[float], None]
) -> bytes:
    """Return the edited image as a PNG of the requested size.

    With a mask every pixel outside its opening is the source's, so the mark is inside it.
    """
    drawing = Drawing(
        request.prompt,
        request.provider_model,
        seed,
        style=request.style,
        negative_prompt=request.negative_prompt,
    )
    if sources.opening is None:
        image = _finished(drawing, _recolour(sources.base, drawing))
    else:
        image = _fill(drawing, sources, sources.opening)
    progress(0.8)
    data = finish.to_png(image, drawing.origin)
    progress(1.0)
    return data


def _opening(mask: SourceFile, source_size: Size, size: Size) -> Image.Image:
    """Return white where the mask is transparent, at the size of the result."""
    file = check(mask)
    if (file.width, file.height) != source_size:
        raise refuse("The mask must have the size of the first image.", "mask_size")
    alpha = open_image(mask, upright=False).convert("RGBA").getchannel("A")
    # Without interpolation, so that no pixel beside the opening changes.
    alpha = ImageOps.fit(alpha, size, Image.Resampling.NEAREST)
    opening = alpha.point([255 if value < TRANSPARENT else 0 for value in range(256)])
    if opening.getbbox() is None:
        raise refuse("The mask has no transparent part, so that nothing may change.", "mask_closed")
    return opening


def _side_by_side(files: Sequence[SourceFile], size: Size) -> Image.Image:
    """Return every image in a cell of its own, with soft seams between them."""
    sheet = Image.new("RGB", size)
    seam = max(2, min(size) // 40)
    for file, (left, top, right, bottom) in zip(files, _cells(len(files), size), strict=True):
        # Each begins a seam before its cell, over those before it, and fades in there.
        left, top = max(0, left - seam), max(0, top - seam)
        cell = (right - left, bottom - top)
        edge = Image.new("L", cell)
        edge.paste(255, (seam // 2 if left else 0, seam // 2 if top else 0, *cell))
        image = ImageOps.fit(open_image(file), cell, Image.Resampling.LANCZOS).convert("RGB")
        sheet.paste(image, (left, top), edge.filter(ImageFilter.BoxBlur(seam / 2)))
    return sheet


def _cells(count: int, size: Size) -> list[tuple[int, int, int, int]]:
    """Return a box for each of ``count`` images, in rows that fill the size."""
    width, height = size
    rows = min(count, max(1, round(math.sqrt(count * height / width))))
    boxes = []
    for row in range(rows):
        columns = count * (row + 1) // rows - count * row // rows
        top, bottom = height * row // rows, height * (row + 1) // rows
        for column in range(columns):
            left, right = width * column // columns, width * (column + 1) // columns
            boxes.append((left, top, right, bottom))
    return boxes


def _recolour(image: Image.Image, drawing: Drawing) -> Image.Image:
    """Return the image in the colours of the drawing's palette."""
    image = image.convert("RGB")
    light = ImageOps.autocontrast(image.convert("L"), cutoff=1)
    bands = [light.point(_gradient(drawing.palette, band)) for band in range(3)]
    return Image.blend(Image.merge("RGB", bands), image, drawing.dice.uniform(0.1, 0.3))


def _gradient(palette: Palette, band: int) -> list[int]:
    """Return one channel of the gradient through the palette's tones, for each lightness."""
    tones = [tone[band] for tone in palette.tones()]
    values = []
    for lightness in range(256):
        place = lightness / 255 * (len(tones) - 1)
        index = min(int(place), len(tones) - 2)
        share = place - index
        values.append(round(tones[index] * (1 - share) + tones[index + 1] * share))
    return values


def _fill(drawing: Drawing, sources: Sources, opening: Image.Image) -> Image.Image:
    """Return the base with the further images, or else the prompt's scene, in the opening."""
    box = opening.getbbox()
    if box is None:
        raise ValueError("the opening is empty")
    size = (box[2] - box[0], box[3] - box[1])
    if sources.insert is None:
        part = drawing.scene(*size)
    else:
        part = _recolour(ImageOps.fit(sources.insert, size, Image.Resampling.LANCZOS), drawing)
    image = sources.base.copy()
    image.paste(_finished(drawing, part).convert(image.mode), box, opening.crop(box))
    return image


def _finished(drawing: Drawing, image: Image.Image) -> Image.Image:
    image = finish.grain(drawing.tone(image))
    finish.mark(image)
    return image
