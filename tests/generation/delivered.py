"""Files as vendors deliver them, with and without a mark, made by Pillow and PyAV."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import av
from PIL import Image

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    b" Iptc4xmpExt:DigitalSourceType="
    b'"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
"""A vendor's own packet, in the attribute form that ours does not use."""


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of JUMBF and of MP4 (ISO 19566-5, ISO 14496-12)."""
    return struct.pack(">I", 8 + len(content)) + kind + content


C2PA_TYPE = bytes.fromhex("6332706100110010800000aa00389b71")
"""The type of a C2PA manifest store, as its specification gives it: "c2pa" and a fixed tail."""
JUMBF = box(
    b"jumb", box(b"jumd", C2PA_TYPE + b"\x03c2pa\0") + box(b"json", b'{"claim_generator":"vendor"}')
)


def image(kind: str, size: tuple[int, int] = (64, 40), mode: str = "RGB", **options: Any) -> bytes:
    """Return an image file of Pillow's format ``kind``: its left half dark, its right half red."""
    picture = Image.new(mode, size, (20, 20, 20, 255)[: len(mode)])
    picture.paste((220, 40, 40, 120)[: len(mode)], (size[0] // 2, 0, *size))
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def sound(codec: str, container: str) -> bytes:
    """Return half a second of silence."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as written:
        stream = written.add_stream(codec, rate=48_000)
        for number in range(25):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            frame.planes[0].update(bytes(1920))
            frame.rate, frame.pts = 48_000, number * 960
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    return out.getvalue()


def film(size: tuple[int, int] = (640, 360), frames: int = 5) -> bytes:
    """Return an MP4 whose pictures are those of ``image``."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as written:
        stream = written.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        with Image.open(io.BytesIO(image("PNG", size))) as picture:
            for _ in range(frames):
                written.mux(stream.encode(av.VideoFrame.from_image(picture)))
        written.mux(stream.encode(None))
    return out.getvalue()


def turned(mp4: bytes) -> bytes:
    """Return a film that is to be shown turned clockwise by 90 degrees, as phones mark it."""
    whole, quarter = struct.pack(">i", 1 << 16), struct.pack(">i", -(1 << 16))
    zero, one = bytes(4), struct.pack(">i", 1 << 30)
    upright = whole + zero * 3 + whole + zero * 3 + one
    place = mp4.index(upright, mp4.index(b"tkhd"))
    matrix = zero + whole + zero + quarter + zero * 4 + one
    return mp4[:place] + matrix + mp4[place + len(upright) :]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def with_png_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """Return a PNG with a chunk after its header."""
    return png[:33] + png_chunk(kind, content) + png[33:]


def with_jpeg_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """Return a JPEG with a segment at its begin."""
    return (
        jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]
    )


def with_riff_chunk(riff: bytes, kind: bytes, content: bytes) -> bytes:
    """Return a WebP or WAV with a chunk at its end."""
    chunk = kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return riff[:4] + struct.pack("<I", len(riff) + len(chunk) - 8) + riff[8:] + chunk


def with_mp4_box(mp4: bytes, user_type: bytes, content: bytes) -> bytes:
    """Return an MP4 with a box after its first one."""
    first = struct.unpack(">I", mp4[:4])[0]
    return mp4[:first] + box(b"uuid", user_type + content) + mp4[first:]


C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

MARKED: dict[str, tuple[str, bytes]] = {
    "PNG with C2PA": ("image/png", with_png_chunk(image("PNG"), b"caBX", JUMBF)),
    "PNG with XMP": (
        "image/png",
        with_png_chunk(image("PNG"), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    ),
    "JPEG with C2PA": (
        "image/jpeg",
        with_jpeg_segment(image("JPEG"), 0xEB, b"JP\0\x01\0\0\0\x01" + JUMBF),
    ),
    "JPEG with XMP": (
        "image/jpeg",
        with_jpeg_segment(image("JPEG"), 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    ),
    "WebP with C2PA": ("image/webp", with_riff_chunk(image("WEBP"), b"C2PA", JUMBF)),
    "WebP with XMP": ("image/webp", image("WEBP", xmp=XMP)),
    "MP4 with C2PA": (
        "video/mp4",
        with_mp4_box(film(), C2PA_BOX, b"\0\0\0\0manifest\0" + bytes(8) + JUMBF),
    ),
    "MP4 with XMP": ("video/mp4", with_mp4_box(film(), XMP_BOX, XMP)),
    "WAV with C2PA": ("audio/wav", with_riff_chunk(sound("pcm_s16le", "wav"), b"C2PA", JUMBF)),
    "WAV with XMP": ("audio/wav", with_riff_chunk(sound("pcm_s16le", "wav"), b"_PMX", XMP)),
}
"""Delivered files that have a mark, by what they are: type and bytes."""

UNMARKED: dict[str, tuple[str, bytes]] = {
    "PNG": ("image/png", image("PNG")),
    "PNG with alpha": ("image/png", image("PNG", mode="RGBA")),
    "JPEG": ("image/jpeg", image("JPEG")),
    "JPEG with Exif": ("image/jpeg", image("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")),
    "WebP": ("image/webp", image("WEBP")),
    "WebP without loss": ("image/webp", image("WEBP", lossless=True)),
    "WebP with alpha": ("image/webp", image("WEBP", mode="RGBA", lossless=True)),
    "WebP with a profile": ("image/webp", image("WEBP", icc_profile=bytes(131))),
    "WAV": ("audio/wav", sound("pcm_s16le", "wav")),
    "MP3": ("audio/mpeg", sound("libmp3lame", "mp3")),
    "MP4": ("video/mp4", film()),
}
"""Delivered files without one."""
