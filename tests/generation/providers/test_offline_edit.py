"""Edits of the offline provider: derived from every source, and changed only where they may be."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageOps, ImageStat

from creditapp.generation.providers import ImageRequest, OfflineProvider, SourceFile
from tests.generation.providers.conftest import generate

SIDE = 96


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> SourceFile:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return SourceFile(out.getvalue(), f"image/{kind.lower()}")


def noise(mode: str = "RGB", side: int = SIDE) -> Image.Image:
    bands = [Image.effect_noise((side, side), 90) for _ in mode]
    return Image.merge(mode, bands) if len(bands) > 1 else bands[0]


def mask(box: tuple[int, int, int, int], side: int = SIDE) -> SourceFile:
    image = Image.new("RGBA", (side, side), "white")
    ImageDraw.Draw(image).rectangle(box, fill=(0, 0, 0, 0))
    return encoded(image)


def edited(
    *images: SourceFile,
    prompt: str = "at dusk",
    size: tuple[int, int] = (SIDE, SIDE),
    **more: object,
) -> list[Image.Image]:
    request = ImageRequest(
        prompt=prompt,
        provider_model="flux-dev",
        width=size[0],
        height=size[1],
        images=images,
        **more,  # type: ignore[arg-type]
    )
    outcome = generate(OfflineProvider(), request)
    assert outcome.error is None
    return [Image.open(io.BytesIO(image.data)) for image in outcome.images]


def brightness(image: Image.Image, box: tuple[int, int, int, int]) -> float:
    return ImageStat.Stat(image.convert("L").crop(box)).mean[0]


def correlation(one: Image.Image, other: Image.Image) -> float:
    """Return how much two images are light and dark in the same places, from -1 to 1."""
    small = [image.convert("L").resize((24, 24)) for image in (one, other)]
    first, second = ([*image.get_flattened_data()] for image in small)
    means = sum(first) / 576, sum(second) / 576
    pairs = [(a - means[0], b - means[1]) for a, b in zip(first, second, strict=True)]
    top = sum(a * b for a, b in pairs)
    return top / (sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)) ** 0.5


def test_a_source_is_shown_in_the_colours_of_the_prompt() -> None:
    source = Image.linear_gradient("L").convert("RGB")
    drawn = {}
    for light in ("at dusk", "in the snow"):
        [drawn[light]] = edited(encoded(source, "JPEG"), prompt=light, size=(200, 120))
        assert drawn[light].size == (200, 120)
        assert correlation(drawn[light], source) > 0.9, "dark stays dark"
    one, other = (image.convert("RGB") for image in drawn.values())
    assert sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) > 20


def test_several_results_of_one_source_differ() -> None:
    one, other = edited(encoded(noise()), prompt="x", n=2)
    assert one.tobytes() != other.tobytes()


def test_several_sources_are_all_in_the_result() -> None:
    shades = [Image.new("RGB", (60, 60), (level, level, level)) for level in (0, 120, 255)]
    [image] = edited(*(encoded(shade) for shade in shades), size=(300, 100))
    parts = [brightness(image, (x, 20, x + 60, 70)) for x in (20, 120, 220)]
    assert parts[0] + 15 < parts[1] < parts[2] - 15
    # Seams blend the two, so that no line darker than both is between them.
    assert brightness(image, (98, 20, 102, 70)) > parts[0] - 2


def test_as_many_sources_as_an_order_may_name_fill_the_image() -> None:
    for count in range(1, 17):
        sources = [encoded(Image.new("RGB", (8, 8), "white"))] * count
        [image] = edited(*sources, size=(160, 120))
        corners = [brightness(image, (x, y, x + 8, y + 8)) for x in (0, 140) for y in (0, 60)]
        assert max(corners) - min(corners) < 12, count


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_only_the_transparent_part_of_the_mask_changes(mode: str) -> None:
    source, box = noise(mode), (20, 30, 79, 69)
    [image] = edited(encoded(source), prompt="a castle", mask=mask(box))
    assert image.mode == mode
    changed = ImageChops.difference(image.convert("RGB"), source.convert("RGB"))
    inside = changed.crop((20, 30, 80, 70))
    assert sum(ImageStat.Stat(inside).mean) > 30
    changed.paste(0, (20, 30, 80, 70))
    assert changed.getbbox() is None
    if mode == "RGBA":
        alpha = ImageChops.difference(image.getchannel("A"), source.getchannel("A"))
        alpha.paste(0, (20, 30, 80, 70))
        assert alpha.getbbox() is None


def test_outside_the_mask_the_scaled_source_is_unchanged() -> None:
    source, size = noise(), (240, 180)
    [image] = edited(encoded(source), mask=mask((48, 0, 95, 95)), size=size)
    scaled = ImageOps.fit(source, size, Image.Resampling.LANCZOS)
    left = (0, 0, 120, 180)
    assert image.crop(left).tobytes() == scaled.crop(left).tobytes()
    assert image.crop((120, 0, 240, 180)).tobytes() != scaled.crop((120, 0, 240, 180)).tobytes()


def test_further_sources_go_into_the_opening_of_the_mask() -> None:
    black, white = (encoded(Image.new("RGB", (SIDE, SIDE), shade)) for shade in ("black", "white"))
    opening = mask((0, 0, 47, 95))
    levels = []
    for insert in (black, white):
        [image] = edited(black, insert, mask=opening)
        levels.append(brightness(image, (8, 8, 40, 60)))
        assert brightness(image, (48, 0, 96, 96)) == 0
    assert levels[0] + 30 < levels[1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"mask": mask((0, 0, 9, 9), side=50)}, "mask_size"),
        ({"mask": encoded(Image.new("RGB", (SIDE, SIDE)))}, "mask_closed"),
        ({"mask": SourceFile(b"GIF89a", "image/png")}, "source_unreadable"),
        ({"images": (SourceFile(b"<svg/>", "image/png"),)}, "source_unreadable"),
        ({"images": (SourceFile(b"", "image/png"),)}, "source_empty"),
        (
            {"images": (encoded(noise()), encoded(Image.new("1", (9000, 1))))},
            "source_too_many_pixels",
        ),
    ],
)
def test_a_bad_source_or_mask_is_refused(bad: dict[str, object], reason: str) -> None:
    fields: dict[str, object] = {"images": (encoded(noise()),)} | bad
    request = ImageRequest(prompt="x", width=64, height=64, **fields)  # type: ignore[arg-type]
    outcome = generate(OfflineProvider(), request)
    assert outcome.images == []
    assert outcome.error is not None
    assert outcome.error.reason == reason
    assert (outcome.error.code, outcome.error.permanent) == ("generation_failed", True)
    assert outcome.error.may_have_charged is False


def test_a_photo_is_upright_as_its_camera_says() -> None:
    photo = Image.new("L", (80, 40))
    photo.paste(255, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned by 90 degrees: what is left is to be at the top.
    [image] = edited(encoded(photo, "JPEG", exif=exif), size=(40, 80))
    assert brightness(image, (0, 4, 40, 30)) > brightness(image, (0, 50, 40, 70)) + 60


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK"])
def test_every_kind_of_pixel_is_taken(mode: str) -> None:
    light = Image.linear_gradient("L")
    if mode == "I;16":
        source = Image.frombytes(
            "I;16", (256, 256), b"".join(bytes((0, v)) for v in light.get_flattened_data())
        )
    else:
        source = light.convert("RGB").convert(mode) if mode == "CMYK" else light.convert(mode)
    [image] = edited(encoded(source, "JPEG" if mode == "CMYK" else "PNG"), size=(128, 128))
    assert correlation(image, light) > 0.8


def test_the_same_edit_gives_the_same_bytes() -> None:
    sources = (encoded(noise()), encoded(noise()))
    one, other = (edited(*sources, mask=mask((9, 9, 60, 60)))[0].tobytes() for _ in range(2))
    assert one == other
