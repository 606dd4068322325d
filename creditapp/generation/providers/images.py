"""Verify image files that a vendor sent.

An image counts as delivered after it was decoded once. The limits are checked on its header first,
so that a small file cannot fill the memory. The vendor's bytes are kept; a PNG gets text chunks.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

BYTES_MAX = 32 * 1024 * 1024
PIXELS_MAX = 3840 * 2160 * 2
"""Twice the largest image of any known model."""

SIDE_MAX = 8192

_MIME_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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


def with_png_text(data: bytes, text: Mapping[str, str]) -> bytes:
    """Return a PNG with ``text`` as iTXt chunks after its header; pixels and other chunks stay.

    The keys are PNG keywords: 1 to 79 Latin letters. ``data`` must have passed ``inspect``.
    """
    header_end = len(_PNG_SIGNATURE) + 4 + 4 + 13 + 4
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR":
        raise ValueError("not a PNG")
    chunks = b"".join(_itxt(key, value) for key, value in text.items() if value)
    return data[:header_end] + chunks + data[header_end:]


def _itxt(keyword: str, value: str) -> bytes:
    # Keyword, end, not compressed, method 0, no language, no translated keyword, UTF-8 text.
    body = keyword.encode("latin-1") + b"\0\0\0\0\0" + value.replace("\0", "").encode()
    checksum = zlib.crc32(b"iTXt" + body)
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", checksum)
