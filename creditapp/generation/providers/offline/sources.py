"""Reading of the images that a preview starts from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from creditapp.generation.providers import images
from creditapp.generation.providers.protocol import GenerationFailed, SourceFile

if TYPE_CHECKING:
    from PIL import Image


def refuse(detail: str, reason: str) -> GenerationFailed:
    """Return the error for an order that cannot be made: nothing is charged, nor tried again."""
    return GenerationFailed(detail, permanent=True, may_have_charged=False, reason=reason)


def check(source: SourceFile) -> images.ImageFile:
    """Return the type and size of an image; raise ``GenerationFailed`` if it cannot be read."""
    try:
        return images.inspect(source.data)
    except images.NotAnImage as error:
        reason = error.reason
    # Raised outside the block: the decoder's error may quote bytes of the file.
    raise refuse("The image to start from could not be read.", f"source_{reason}")


def open_image(source: SourceFile, *, upright: bool = True) -> Image.Image:
    """Return a checked image in RGB, or in RGBA if parts of it are transparent.

    ``upright`` turns it as its EXIF orientation says.
    """
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(source.data)) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened) if upright else opened
        transparent = "A" in image.getbands() or "transparency" in image.info
        if image.mode == "I;16":
            # Pillow clips 16 bits to 8 instead of scaling them.
            image = image.point(lambda value: value / 256).convert("L")
        return image.convert("RGBA" if transparent else "RGB")
