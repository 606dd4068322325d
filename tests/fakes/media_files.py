"""Small whole files of every kind, as vendors deliver them; used by the fakes."""

from __future__ import annotations

import functools
import hashlib
import io
import struct
import wave
import zlib
from fractions import Fraction

import av


def png(text: str, width: int, height: int) -> bytes:
    """Return a small PNG of bands in colours that depend on the text."""
    digest = hashlib.sha256(text.encode()).digest()
    rows = bytearray()
    for y in range(height):
        band = y * 8 // height
        rows += b"\0" + digest[band : band + 3] * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_of(header, zlib.compress(bytes(rows), 1))


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return png_of(header, zlib.compress(bytes(100_000)))


def png_of(header: bytes, pixels: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@functools.cache
def mp4(seconds: int, width: int = 64, height: int = 64) -> bytes:
    """Return a playable video of one colour, ten frames a second."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * 10):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, (number * 2 % 256, 90, 160), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def wav(milliseconds: int) -> bytes:
    """Return silence in a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(bytes(2 * 24 * milliseconds))
    return out.getvalue()


@functools.cache
def audio(milliseconds: int, kind: str) -> bytes:
    """Return silence as ``wav``, ``mp3`` or ``opus`` (in an Ogg file)."""
    source = wav(milliseconds)
    if kind == "wav":
        return source
    out = io.BytesIO()
    container_format, codec = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus")}[kind]
    with (
        av.open(io.BytesIO(source), format="wav") as given,
        av.open(out, "w", format=container_format) as container,
    ):
        stream = container.add_stream(codec, rate=24_000, layout="mono")
        for frame in given.decode(audio=0):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()
