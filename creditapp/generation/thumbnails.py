"""Thumbnails: a small image beside a delivered image or video, for lists and players.

The delivered file itself is only read. A thumbnail is a convenience: without one, its image is
shown from the file.
"""

from __future__ import annotations

import io
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from creditapp.generation.provenance import PACKET
from creditapp.logs import error_fields
from creditapp.media import Media
from creditapp.services import get

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_MAX: Final = 480
"""Pixels of the longer side; a smaller image keeps its size."""
PIXELS_MAX: Final = 64_000_000
"""Larger images and videos get no thumbnail: decoding one would fill the memory."""
PACKETS_MAX: Final = 250
"""How far into a video its first frame is looked for."""

_CONTAINERS: Final = {"video/mp4": "mp4", "video/webm": "webm"}
"""The demuxer of each type: a guessed one could be a playlist, which opens other files."""
_QUALITY: Final = 80

log = structlog.get_logger(__name__)


class _TooLarge(Exception):
    """The image has too many pixels to decode."""


def store(data: bytes, mime_type: str) -> str | None:
    """Store a thumbnail of a delivered file; return its key, None if it has none.

    No failure is the caller's: it is logged, and the file has no thumbnail.
    """
    try:
        thumbnail = make(data, mime_type)
        return get(Media).store(thumbnail, "image/webp") if thumbnail else None
    except Exception as error:
        # Decoders raise whatever they like, and a missing thumbnail must not fail a generation.
        log.warning("no thumbnail", mime_type=mime_type, **error_fields(error))
        return None


def make(data: bytes, mime_type: str) -> bytes | None:
    """Return a WebP of an image or of a video's first frame, upright; None for other files.

    It carries a mark of its origin too. Raises what the decoders raise.
    """
    if mime_type.startswith("image/"):
        image = _open_image(data)
    elif mime_type in _CONTAINERS:
        image = _first_frame(data, _CONTAINERS[mime_type])
    else:
        return None
    with closing(image):
        return _encode(image)


def _open_image(data: bytes) -> Image:
    from PIL import Image

    image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    _check_size(image.width, image.height)
    image.draft("RGB", (SIDE_MAX, SIDE_MAX))
    return image


def _first_frame(data: bytes, container_format: str) -> Image:
    import av

    with av.open(
        io.BytesIO(data), "r", format=container_format, metadata_errors="ignore"
    ) as container:
        stream = container.streams.video[0]
        _check_size(stream.codec_context.width, stream.codec_context.height)
        for packet in islice(container.demux(stream), PACKETS_MAX):
            for frame in packet.decode():
                _check_size(frame.width, frame.height)
                image: Image = frame.to_image()  # type: ignore[no-untyped-call]  # its own
                return image.rotate(frame.rotation, expand=True) if frame.rotation else image
    raise ValueError("no frame")


def _check_size(width: int, height: int) -> None:
    if width * height > PIXELS_MAX:
        raise _TooLarge


def _encode(image: Image) -> bytes:
    from PIL import Image, ImageOps

    image.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS, reducing_gap=1.0)
    upright = ImageOps.exif_transpose(image)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    out = io.BytesIO()
    upright.convert(mode).save(out, "WEBP", quality=_QUALITY, method=2, xmp=PACKET)
    return out.getvalue()
