"""What came back from a vendor: is it a picture, and which one?

Nothing that a vendor sends is believed. A picture is decoded once before it counts as delivered,
within limits that are checked on its header first, so that a small file cannot unfold to fill
the memory. The vendor's own bytes are kept; a PNG gets text chunks beside them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

BYTES_MAX = 32 * 1024 * 1024
PIXELS_MAX = 3840 * 2160 * 2
"""Twice the largest picture that any model we know of makes."""

SIDE_MAX = 8192

_MIME_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class NotAPicture(Exception):
    """These bytes are not a picture that we would show; ``reason`` is a short word for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture's own bytes say about it, not what somebody said about them."""

    mime_type: str
    width: int
    height: int


def inspect(data: bytes) -> Picture:
    """Decode ``data`` and return what it is; raise ``NotAPicture`` for anything doubtful.

    SVG and animations are refused: the one is a program, the other has no end that we know.
    """
    from PIL import Image

    if not data:
        raise NotAPicture("empty")
    if len(data) > BYTES_MAX:
        raise NotAPicture("too_many_bytes")
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_MIME_TYPES)) as image:
            width, height = image.size
            if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
                raise NotAPicture("too_many_pixels")
            if getattr(image, "n_frames", 1) != 1:
                raise NotAPicture("animated")
            mime_type = _MIME_TYPES[image.format or ""]
            image.load()
    except NotAPicture:
        raise
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
        raise NotAPicture("unreadable") from error
    return Picture(mime_type, width, height)


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
