"""Verification of images."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from creditapp.generation.providers import images


def encoded(kind: str, size: tuple[int, int] = (12, 8), **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 120, 40)).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "mime_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_type_and_size_come_from_the_bytes(kind: str, mime_type: str) -> None:
    assert images.inspect(encoded(kind)) == images.ImageFile(mime_type, 12, 8)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_formats_are_not_shown(kind: str) -> None:
    with pytest.raises(images.NotAnImage):
        images.inspect(encoded(kind))


def test_an_animation_is_not_shown() -> None:
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 255)]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(images.NotAnImage, match="animated"):
        images.inspect(out.getvalue())


def test_an_image_too_large_is_refused_by_its_header_alone() -> None:
    with pytest.raises(images.NotAnImage, match="too_many_pixels"):
        images.inspect(encoded("PNG", (9000, 10)))
    with pytest.raises(images.NotAnImage, match="too_many_bytes"):
        images.inspect(bytes(images.BYTES_MAX + 1))


@settings(max_examples=60)
@given(st.integers(1, 200))
def test_an_image_cut_short_anywhere_is_no_image(cut: int) -> None:
    whole = encoded("PNG", (64, 64), compress_level=0)
    with pytest.raises(images.NotAnImage):
        images.inspect(whole[: len(whole) * cut // 201])


@settings(max_examples=60)
@given(st.binary(max_size=64))
def test_no_bytes_crash_the_inspection(data: bytes) -> None:
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBPVP8 "):
        with pytest.raises(images.NotAnImage):
            images.inspect(prefix + data)
