"""Types of uploaded files, recognised by their first bytes; never by a name or a header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEAD_BYTES = 64
"""As many bytes of a file as its type is recognised by."""

_ACCEPTED = {
    "image": "an image as PNG, JPEG or WebP",
    "audio": "audio as MP3, WAV, OGG or M4A",
    "video": "a video as MP4 or WebM",
}


def accepted(kinds: Sequence[str]) -> str:
    """Return the sentence that says what to send where these kinds fit; all if there are none."""
    choices = [text for kind, text in _ACCEPTED.items() if not kinds or kind in kinds]
    return f"Send {', or '.join(choices)}."


@dataclass(frozen=True)
class FileType:
    """A type by the first bytes. ``container`` is ``image``, or the name of FFmpeg's demuxer."""

    container: str
    kinds: tuple[str, ...]
    """The kinds of media that such a file may hold."""


IMAGE = FileType("image", ("image",))
MP3 = FileType("mp3", ("audio",))
WAV = FileType("wav", ("audio",))
OGG = FileType("ogg", ("audio",))
MP4 = FileType("mov", ("video", "audio"))
WEBM = FileType("matroska", ("video", "audio"))

_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF"),
    (b"PK\3\4", "a ZIP archive"),
    (b"fLaC", "a FLAC file"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an SVG drawing"),
)
"""Known files that are not accepted, so that the refusal can name them."""

_PHOTO_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis"), "a HEIC photo"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF image"),
}


def recognise(head: bytes) -> FileType | None:
    """Return the type of a file that begins with ``head``, or None if it is not accepted."""
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return IMAGE
    if head[:4] == b"RIFF":
        return {b"WEBP": IMAGE, b"WAVE": WAV}.get(head[8:12])
    if head[:4] == b"OggS":
        return OGG
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return WEBM
    if head[4:8] == b"ftyp":
        return None if head[8:12] in _PHOTO_BRANDS else MP4
    if head[:3] == b"ID3" or _is_mpeg_frame(head):
        return MP3
    return None


def name_of(head: bytes) -> str:
    """Return what a file that is not accepted is, as a sentence goes on: ``a GIF``."""
    if head[4:8] == b"ftyp":
        return _PHOTO_BRANDS.get(head[8:12], "of a type that is not accepted")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, name in _OTHERS:
        if (text if magic[:1] == b"<" else head).startswith(magic):
            return name
    return "of a type that is not accepted"


def _is_mpeg_frame(head: bytes) -> bool:
    """Return whether ``head`` is the header of an MPEG audio frame: sync, layer, rates in use."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    layer, bit_rate, sample_rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return layer == 1 and bit_rate not in (0, 15) and sample_rate != 3
