"""Upscaling by the offline provider: the ordered size, alpha kept, one mark."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from creditapp.generation.providers import OfflineProvider, SourceFile, UpscaleRequest
from creditapp.generation.providers.offline.draw import draw_png
from tests.generation.providers.conftest import Outcome, generate


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> SourceFile:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return SourceFile(out.getvalue(), f"image/{kind.lower()}")


def upscale(source: SourceFile, width: int, height: int) -> Outcome:
    request = UpscaleRequest(image=source, width=width, height=height)
    return generate(OfflineProvider(), request)


def upscaled(source: SourceFile, width: int, height: int) -> Image.Image:
    outcome = upscale(source, width, height)
    assert outcome.error is None
    [file] = outcome.images
    assert (file.mime_type, file.width, file.height) == ("image/png", width, height)
    assert file.provider_cost_micros_usd == 0
    assert outcome.progress == [0.0, 1.0]
    image = Image.open(io.BytesIO(file.data))
    image.load()
    assert (image.format, image.size) == ("PNG", (width, height))
    return image


def disc(mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (160, 120), "steelblue")
    ImageDraw.Draw(image).ellipse((40, 20, 120, 100), fill="white")
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_result_has_the_ordered_size_and_shows_the_source(kind: str) -> None:
    image = upscaled(encoded(disc(), kind), 640, 480)
    back = image.resize((160, 120), Image.Resampling.BOX)
    # The mark is in the lower right corner.
    changed = ImageChops.difference(back, disc()).crop((0, 0, 110, 120))
    assert max(ImageStat.Stat(changed).mean) < 6


def test_edges_are_sharper_than_by_interpolation_alone() -> None:
    image = upscaled(encoded(disc()), 640, 480)
    plain = disc().resize((640, 480), Image.Resampling.LANCZOS)
    row = [
        [p[0] for p in each.crop((120, 240, 220, 241)).get_flattened_data()]
        for each in (image, plain)
    ]
    steepest = [max(b - a for a, b in pairwise(line)) for line in row]
    assert steepest[0] > steepest[1]


def test_what_is_transparent_stays_so() -> None:
    source = disc().convert("RGBA")
    alpha = Image.linear_gradient("L").resize(source.size)
    source.putalpha(alpha)
    image = upscaled(encoded(source), 320, 240)
    assert image.mode == "RGBA"
    changed = ImageChops.difference(image.getchannel("A"), alpha.resize((320, 240)))
    # Apart from the mark, which can be seen on a transparent ground too.
    assert max(changed.crop((0, 0, 200, 200)).getextrema()) <= 3


def test_the_mark_is_drawn_once() -> None:
    preview = draw_png("a city", model="m", seed=1, width=200, height=200)
    own = Image.open(io.BytesIO(preview))
    own.load()
    once = upscaled(SourceFile(preview, "image/png"), 400, 400)
    own.info.clear()
    twice = upscaled(encoded(own), 400, 400)
    box = ImageChops.difference(once, twice).getbbox()
    assert box is not None, "an image without the preview's metadata gets the mark"
    assert box[0] > 280
    assert box[1] > 340


def test_a_turned_photo_stays_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = upscaled(encoded(disc(), "JPEG", exif=exif), 320, 240)
    assert image.getexif()[0x0112] == 6


def test_a_large_image_is_upscaled() -> None:
    image = upscaled(encoded(Image.effect_noise((1024, 1024), 40)), 4096, 4050)
    assert image.size == (4096, 4050)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (SourceFile(b"no image", "image/png"), (64, 64)),
        (encoded(disc()), (8192, 8192)),
        (encoded(disc()), (0, 64)),
    ],
)
def test_what_cannot_be_made_is_refused(source: SourceFile, size: tuple[int, int]) -> None:
    error = upscale(source, *size).error
    assert error is not None
    assert (error.permanent, error.may_have_charged) == (True, False)


def test_a_stopped_order_delivers_nothing() -> None:
    request = UpscaleRequest(image=encoded(disc()), width=320, height=240)
    assert generate(OfflineProvider(), request, lambda: True).images == []
