"""Upscaling: a larger version by interpolation and a light sharpening."""

from __future__ import annotations

from PIL import ExifTags, Image, ImageFilter

from creditapp.generation.providers.offline import finish
from creditapp.generation.providers.offline.sources import check, open_image
from creditapp.generation.providers.protocol import UpscaleRequest


def upscale_png(request: UpscaleRequest) -> bytes:
    """Return the image at exactly the requested size as a PNG; what is transparent stays so.

    The mark is added only where the source is no preview, which has it already.
    """
    check(request.image)
    # The requested size is that of the pixels as stored, so the orientation is kept beside them.
    image = open_image(request.image, upright=False)
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    is_marked = image.info.get("Software") == finish.SOFTWARE
    factor = max(1.0, request.width / image.width)
    image = image.resize((request.width, request.height), Image.Resampling.LANCZOS)
    sharp = image.convert("RGB").filter(ImageFilter.UnsharpMask(0.6 * factor, 60, 2))
    if image.mode == "RGBA":
        sharp.putalpha(image.getchannel("A"))
    if not is_marked:
        finish.mark(sharp)
    text = {"Model": request.provider_model}
    return finish.to_png(sharp, text, orientation=orientation)
