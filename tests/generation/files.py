"""Files as people bring them: images, sounds and videos, whole and broken, made by the tests."""

from __future__ import annotations

import array
import io
import math
import struct
import zlib
from typing import Any

import av
from PIL import Image

SECRET = "taken at the secret place"  # a text that must not be kept


def png(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    return encoded(Image.new(mode, (width, height), options.pop("color", 0)), "PNG", **options)


def jpeg(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encoded(Image.new("RGB", (width, height), "teal"), "JPEG", **options)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def photograph() -> bytes:
    """Return a JPEG as a phone writes it: on its side, red where it shows its top, with GPS."""
    image = Image.new("RGB", (80, 40), "white")
    image.paste("red", (0, 0, 20, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    exif[0x010F] = SECRET
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    return encoded(image, "JPEG", exif=exif, comment=SECRET.encode(), quality=95)


def png_header(width: int, height: int) -> bytes:
    """Return a small PNG whose header promises a huge image."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def animation(file_format: str, frames: int = 3) -> bytes:
    """Return an animated PNG, WebP or GIF."""
    images = [Image.new("RGB", (64, 48), (n * 40, 0, 0)) for n in range(frames)]
    return encoded(images[0], file_format, save_all=True, append_images=images[1:])


def wav(seconds: float = 1, rate: int = 8000) -> bytes:
    """Return a tone of 16 bits."""
    samples = array.array("h", (int(8000 * math.sin(n / 5)) for n in range(int(seconds * rate))))
    data = samples.tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", *_wav_fields(rate, len(data)))
    return head + data


def _wav_fields(rate: int, size: int) -> tuple[Any, ...]:
    form = (b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return (b"RIFF", 36 + size, b"WAVE", *form, b"data", size)


def sound(muxer: str, codec: str, seconds: float = 1, rate: int = 48000) -> bytes:
    """Return an encoded tone with a title."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        container.metadata["title"] = SECRET
        _add_tone(container, container.add_stream(codec, rate=rate, layout="mono"), seconds, rate)
    return file.getvalue()


def film(
    muxer: str = "mp4",
    codec: str = "libx264",
    *,
    seconds: float = 1,
    rate: int = 10,
    width: int = 160,
    height: int = 120,
    sound_codec: str | None = None,
) -> bytes:
    """Return a video with a title, and with a tone where a codec for it is named."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        container.metadata["title"] = SECRET
        container.metadata["location"] = "+52.5200+013.4050/"
        video: Any = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        tone = container.add_stream(sound_codec, rate=48000, layout="mono") if sound_codec else None
        for number in range(int(seconds * rate)):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 10 % 256]) * plane.buffer_size)
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if tone is not None:
            _add_tone(container, tone, seconds, 48000)
    return file.getvalue()


def _add_tone(container: Any, stream: Any, seconds: float, rate: int) -> None:
    context = stream.codec_context
    resampler = av.AudioResampler(
        format=context.format, layout="mono", rate=rate, frame_size=context.frame_size or 1024
    )
    for number in range(int(seconds * rate / 1000)):
        frame = av.AudioFrame(format="s16", layout="mono", samples=1000)
        wave = (int(8000 * math.sin((number * 1000 + n) / 20)) for n in range(1000))
        frame.planes[0].update(array.array("h", wave).tobytes())
        frame.sample_rate, frame.pts = rate, number * 1000
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    for part in resampler.resample(None):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))
