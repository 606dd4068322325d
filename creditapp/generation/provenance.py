"""Provenance: keep the mark that a delivered file has, or add one where it has none.

A mark says to programs that a file was made by a model: a C2PA manifest, or IPTC's
``DigitalSourceType`` in XMP. A file with either, or with XMP of its own, is returned as it came: a
change would break its signature, and a second packet would be invalid. Any other file gets a packet
beside its media data, which stays as it is, like each other part. Where XMP has no agreed place
(Ogg, WebM), or a part cannot be read, nothing is added.

Sources: XMP specification part 3 (files), C2PA specification 2.1 appendix A (embedding), IPTC
photo metadata standard (the property and its values).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

TRAINED_ALGORITHMIC_MEDIA: Final = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
)
"""IPTC's digital source type: made by a model that was trained on samples."""

PACKET: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<Iptc4xmpExt:DigitalSourceType>"
    f"{TRAINED_ALGORITHMIC_MEDIA}"
    "</Iptc4xmpExt:DigitalSourceType>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="r"?>'
).encode()
"""An XMP packet that says so."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_XMP = b"XML:com.adobe.xmp\0"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MP4_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MP4_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_WEBP_HAS_XMP = 0x04
_WEBP_HAS_ALPHA = 0x10


class _NotReadable(Exception):
    """The parts of a file do not fit together, or a packet would not be found in it."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk, segment or box: its kind, and its content from ``start`` to ``end``."""

    kind: bytes
    start: int
    end: int


def with_mark(data: bytes, mime_type: str) -> bytes:
    """Return a delivered file with a mark of its origin: ``data`` itself if it has one already.

    Never raises: a file that cannot be read or marked is returned as it is.
    """
    add = _FORMATS.get(mime_type)
    if add is None:
        return data
    try:
        return add(data)
    except _NotReadable:
        return data


def _png(data: bytes) -> bytes:
    header = _part(data, len(_PNG_SIGNATURE) + 8, 13)
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR":
        raise _NotReadable
    for chunk in _png_chunks(data):
        is_text = chunk.kind in (b"iTXt", b"tEXt", b"zTXt")
        if chunk.kind == b"caBX" or (
            is_text and data.startswith((_PNG_XMP, b"Raw profile type xmp\0"), chunk.start)
        ):
            return data
    # Keyword, not compressed, method 0, no language, no translated keyword, UTF-8 text.
    text = b"iTXt" + _PNG_XMP + b"\0\0\0\0" + PACKET
    added = (len(text) - 4).to_bytes(4) + text + zlib.crc32(text).to_bytes(4)
    place = header.end + 4
    return data[:place] + added + data[place:]


def _png_chunks(data: bytes) -> Iterator[_Part]:
    place = len(_PNG_SIGNATURE)
    while place < len(data):
        chunk = _part(data, place + 8, _number(data, place, 4, "big"), data[place + 4 : place + 8])
        yield chunk
        if chunk.kind == b"IEND":
            return
        place = chunk.end + 4
    raise _NotReadable


def _jpeg(data: bytes) -> bytes:
    if not data.startswith(b"\xff\xd8"):
        raise _NotReadable
    place = 2
    leads = True
    for segment in _jpeg_segments(data):
        is_exif = segment.kind == b"\xe1" and data.startswith(b"Exif\0", segment.start)
        if segment.kind == b"\xe1" and data.startswith(_JPEG_XMP, segment.start):
            return data
        if segment.kind == b"\xeb" and data.startswith(b"JP", segment.start):
            return data  # JUMBF, the box of C2PA
        # JFIF and Exif come first.
        leads = leads and (segment.kind == b"\xe0" or is_exif)
        if leads:
            place = segment.end
    content = _JPEG_XMP + PACKET
    added = b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content
    return data[:place] + added + data[place:]


def _jpeg_segments(data: bytes) -> Iterator[_Part]:
    """Yield the segments before the image data."""
    place = 2
    while True:
        if data[place : place + 1] != b"\xff":
            raise _NotReadable
        kind = data[place + 1 : place + 2]
        if kind == b"\xff":  # a fill byte
            place += 1
            continue
        segment = _part(data, place + 4, _number(data, place + 2, 2, "big") - 2, kind)
        if kind == b"\xda":
            return
        yield segment
        place = segment.end


def _webp(data: bytes) -> bytes:
    chunks = _riff_chunks(data, b"WEBP")
    if not chunks or {b"XMP ", b"C2PA"} & {chunk.kind for chunk in chunks}:
        return data
    first = chunks[0]
    if first.kind == b"VP8X":
        flags = bytes([data[first.start] | _WEBP_HAS_XMP])
        data = data[: first.start] + flags + data[first.start + 1 :]
    else:
        data = data[:12] + _webp_header(data, first) + data[12:]
    return _with_riff_chunk(data, b"XMP ")


def _webp_header(data: bytes, image: _Part) -> bytes:
    """Return the chunk that a file needs which has more than its image."""
    flags = _WEBP_HAS_XMP
    if image.kind == b"VP8 " and data[image.start + 3 : image.start + 6] == b"\x9d\x01\x2a":
        width = _number(data, image.start + 6, 2, "little") & 0x3FFF
        height = _number(data, image.start + 8, 2, "little") & 0x3FFF
    elif image.kind == b"VP8L" and data[image.start] == 0x2F:
        bits = _number(data, image.start + 1, 4, "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags |= _WEBP_HAS_ALPHA if bits >> 28 & 1 else 0
    else:
        raise _NotReadable
    if not width or not height:
        raise _NotReadable
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + (10).to_bytes(4, "little") + bytes([flags, 0, 0, 0]) + sides


def _wav(data: bytes) -> bytes:
    chunks = _riff_chunks(data, b"WAVE")
    if {b"_PMX", b"C2PA"} & {chunk.kind for chunk in chunks}:
        return data
    return _with_riff_chunk(data, b"_PMX")


def _riff_chunks(data: bytes, form: bytes) -> list[_Part]:
    is_whole = _number(data, 4, 4, "little") + 8 == len(data)
    if data[:4] != b"RIFF" or data[8:12] != form or not is_whole:
        raise _NotReadable
    chunks = []
    place = 12
    while place < len(data):
        size = _number(data, place + 4, 4, "little")
        chunks.append(_part(data, place + 8, size, data[place : place + 4]))
        place = _part(data, place + 8, size + size % 2).end
    return chunks


def _with_riff_chunk(data: bytes, kind: bytes) -> bytes:
    added = kind + len(PACKET).to_bytes(4, "little") + PACKET + b"\0" * (len(PACKET) % 2)
    size = len(data) + len(added) - 8
    return data[:4] + size.to_bytes(4, "little") + data[8:] + added


def _mp4(data: bytes) -> bytes:
    """Append a box, which moves no other: the file's own offsets stay right."""
    last = b""
    place = 0
    while place < len(data):
        size, header, last = _number(data, place, 4, "big"), 8, data[place + 4 : place + 8]
        if size == 1:
            size, header = _number(data, place + 8, 8, "big"), 16
        # A last box without a length ends with the file.
        box = _part(data, place + header, size - header, last)
        if last == b"uuid" and data.startswith((_MP4_XMP, _MP4_C2PA), box.start):
            return data
        if last == b"moov" and data.find(b"XMP_", box.start, box.end) >= 0:
            return data
        place = box.end
    # The index of a fragmented film is found from the file's end.
    if not last or data[4:8] != b"ftyp" or last == b"mfra":
        raise _NotReadable
    content = b"uuid" + _MP4_XMP + PACKET
    return data + (len(content) + 4).to_bytes(4) + content


def _mp3(data: bytes) -> bytes:
    """Add a frame to the tag before the sound, or a tag with it."""
    content = b"XMP\0" + PACKET
    if not data.startswith(b"ID3"):
        if not re.match(rb"\xff[\xe0-\xff]", data):
            raise _NotReadable
        frame = _id3_frame(content, version=4)
        return b"ID3\x04\0\0" + _syncsafe(len(frame)) + frame + data
    version, flags = _number(data, 3, 1, "big"), _number(data, 5, 1, "big")
    sizes = data[6:10]
    if version not in (3, 4) or flags or len(sizes) < 4 or max(sizes) > 127:
        raise _NotReadable
    size = sum(byte << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=True))
    tag = _part(data, 10, size)
    frames = data[tag.start : tag.end]
    if b"XMP\0" in frames or b"c2pa" in frames.lower():
        return data
    frame = _id3_frame(content, version)
    if size + len(frame) >= 1 << 28:
        raise _NotReadable
    return data[:6] + _syncsafe(size + len(frame)) + frame + data[10:]


def _id3_frame(content: bytes, version: int) -> bytes:
    size = _syncsafe(len(content)) if version == 4 else len(content).to_bytes(4)
    return b"PRIV" + size + b"\0\0" + content


def _syncsafe(number: int) -> bytes:
    """Return a number of 28 bits in four bytes that no player takes for the start of sound."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _part(data: bytes, start: int, size: int, kind: bytes = b"") -> _Part:
    if size < 0 or start + size > len(data):
        raise _NotReadable
    return _Part(kind, start, start + size)


def _number(data: bytes, place: int, size: int, order: str) -> int:
    part = _part(data, place, size)
    return int.from_bytes(data[part.start : part.end], "little" if order == "little" else "big")


_FORMATS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "audio/wav": _wav,
    "audio/mpeg": _mp3,
    "video/mp4": _mp4,
}
