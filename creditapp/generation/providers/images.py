"""Verify image files that a vendor sent.

An image counts as delivered after it was decoded once. The limits are checked on its header first,
so that a small file cannot fill the memory. The vendor's bytes are kept as they are: a change would
break the signature that they may bear.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

BYTES_MAX = 32 * 1024 * 1024
PIXELS_MAX = 3840 * 2160 * 2
"""Twice the largest image of any known model."""

SIDE_MAX = 8192

_MIME_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


class NotAnImage(Exception):
    """The bytes are not an acceptable image; ``reason`` is a short code for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The type and size in pixels that a file's own bytes have."""

    mime_type: str
    width: int
    height: int


def inspect(data: bytes) -> ImageFile:
    """Decode ``data`` and return its type and size; raise ``NotAnImage`` for anything else.

    SVG is refused because it may hold scripts, animations because their length is unbounded.
    """
    from PIL import Image

    if not data:
        raise NotAnImage("empty")
    if len(data) > BYTES_MAX:
        raise NotAnImage("too_many_bytes")
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_MIME_TYPES)) as image:
            width, height = image.size
            if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
                raise NotAnImage("too_many_pixels")
            if getattr(image, "n_frames", 1) != 1:
                raise NotAnImage("animated")
            mime_type = _MIME_TYPES[image.format or ""]
            image.load()
    except NotAnImage:
        raise
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
        raise NotAnImage("unreadable") from error
    return ImageFile(mime_type, width, height)
