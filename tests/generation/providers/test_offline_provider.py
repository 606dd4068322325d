"""The offline provider's promises: size, metadata, determinism, variety, time."""

from __future__ import annotations

import io
import random
import socket
import time

import pytest
from PIL import Image, ImageChops, ImageStat

from creditapp.generation.providers import ImageRequest, OfflineProvider, SourceImage
from creditapp.generation.providers.offline_art import SCENES, draw_png
from creditapp.generation.providers.offline_art.palettes import BY_MOOD, PALETTES
from creditapp.generation.providers.offline_art.wishes import read_prompt
from tests.generation.providers.conftest import generate

REQUEST = ImageRequest("The harbour at dusk", "flux-dev", width=512, height=512, seed=7)
MODELS = (
    "nano-banana", "flux-dev", "lora-normal", "lora-context", "gemini-flash", "nano-banana-pro",
    "gpt-image",
)  # fmt: skip
# One prompt for each scene that there is.
PROMPTS = {
    "harbour": "Sailing boats in the harbour",
    "lighthouse": "A lighthouse on a basalt cliff at first light, long exposure, calm sea",
    "sea": "Ocean waves",
    "city": "The skyline of a city",
    "mountain": "Mountains behind a lake",
    "desert": "Dunes in the desert",
    "forest": "A birch forest",
    "flowers": "A meadow of poppies",
    "canyon": "Cut paper canyon seen from above, layered in warm reds, a small sun at the bottom",
    "abstract": "An abstract composition",
    "castle": "A dragon over a castle",
    "space": "A planet and its moons, in space",
    "animal": "A fox in a forest",
    "portrait": "Portrait of Abraham Lincoln",
    "interior": "A quiet reading corner in a greenhouse, rain on the glass, watercolour",
    "still": "A vase and three lemons",
    "sign": "A shop sign that says OPEN LATE, hand painted",
}


def picture(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    small = [image.convert("RGB").resize((64, 64)) for image in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean)


@pytest.mark.parametrize(
    "size", [(1024, 1024), (1536, 1024), (1024, 1536), (1536, 864), (1792, 1024), (256, 256)]
)
def test_a_preview_has_the_size_asked_for_and_says_where_it_comes_from(
    size: tuple[int, int],
) -> None:
    prompt = "灯台 at dusk, “quoted” 🌊"
    request = ImageRequest(prompt, "gemini-flash", width=size[0], height=size[1], seed=41)
    [image] = generate(OfflineProvider(), request).images
    assert (image.mime_type, image.width, image.height) == ("image/png", *size)
    assert image.provider_cost_micros_usd == 0
    opened = picture(image.data)
    assert (opened.format, opened.size, opened.mode) == ("PNG", size, "RGB")
    assert opened.info["Prompt"] == prompt
    assert opened.info["Model"] == "gemini-flash"
    assert opened.info["Seed"] == "41"
    assert "CreditApp" in opened.info["Software"]
    assert "preview" in opened.info["Comment"].lower()


def test_the_same_request_gives_the_same_bytes() -> None:
    one, other = (generate(OfflineProvider(), REQUEST).images[0].data for _ in range(2))
    assert one == other


def test_the_nth_picture_is_the_first_of_the_nth_seed() -> None:
    several = generate(OfflineProvider(), ImageRequest("A city", "flux-dev", 3, 256, 256, seed=5))
    alone = generate(OfflineProvider(), ImageRequest("A city", "flux-dev", 1, 256, 256, seed=7))
    assert several.images[2].data == alone.images[0].data
    assert len({image.data for image in several.images}) == 3


def test_another_seed_composes_another_picture_and_another_model_another_one() -> None:
    drawn = [
        picture(draw_png("The harbour at dusk", model=model, seed=seed, width=256, height=256))
        for model, seed in (("flux-dev", 1), ("flux-dev", 2), *((name, 1) for name in MODELS[2:]))
    ]
    for index, one in enumerate(drawn):
        for other in drawn[index + 1 :]:
            assert difference(one, other) > 6


@pytest.mark.parametrize("scene", sorted(SCENES))
@pytest.mark.parametrize("model", MODELS)
def test_every_scene_can_be_drawn_in_every_manner(scene: str, model: str) -> None:
    for seed in range(2):
        data = draw_png(PROMPTS[scene], model=model, seed=seed, width=208, height=160)
        spread = ImageStat.Stat(picture(data).convert("L")).stddev[0]
        assert spread > 8, "a picture is not a plain surface"


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_the_words_of_a_prompt_choose_the_scene(scene: str) -> None:
    assert read_prompt(PROMPTS[scene], "flux-dev", random.Random(1)).scene == scene


@pytest.mark.parametrize(
    ("prompt", "palettes"),
    [
        ("a lake at night", {"night", "emerald", "indigo"}),
        ("the desert at night", {"night", "emerald", "indigo"}),
        ("a hut in the snow", {"snow"}),
        ("sunset over the sea", {"dusk", "ember"}),
        ("an autumn wood", {"autumn"}),
    ],
)
def test_the_words_of_a_prompt_choose_the_light(prompt: str, palettes: set[str]) -> None:
    seen = {read_prompt(prompt, "flux-dev", random.Random(n)).palette for n in range(20)}
    assert seen <= palettes


def test_a_style_that_the_prompt_names_comes_before_the_models_own() -> None:
    dice = random.Random(1)
    assert read_prompt("a fox, watercolour", "flux-dev", dice).style == "wash"
    assert read_prompt("a fox", "lora-normal", dice).style == "wash"
    assert read_prompt("a fox", "nano-banana-pro", dice).style == "paper"
    assert read_prompt("a fox", "a model that came later", dice).style == "print"


def test_every_mood_names_palettes_that_exist() -> None:
    assert {name for names in BY_MOOD.values() for name in names} <= set(PALETTES)


@pytest.mark.parametrize(
    ("prompt", "lettering"),
    [
        ("A shop sign that says OPEN LATE, hand painted", "OPEN LATE"),
        ('logo for "Blue Harbor Coffee"', "Blue Harbor Coffee"),
        ("a poster that reads slow down", "slow down"),
        ("The NASA building at dusk", ""),
    ],
)
def test_lettering_is_taken_from_the_prompt(prompt: str, lettering: str) -> None:
    assert read_prompt(prompt, "gpt-image", random.Random(1)).lettering == lettering


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "🦊🌅",
        "x" * 10_000,
        "a\0b\x07c\u202e",
        '"',
        '""',
        "«»",
        "$$$ 100%",
        "ＡＢＣ",
        "says",
    ],
)
def test_no_prompt_is_too_strange_to_draw(prompt: str) -> None:
    for seed in range(4):
        drawn = picture(draw_png(prompt, model="gpt-image", seed=seed, width=160, height=160))
        assert drawn.size == (160, 160)


def test_progress_rises_from_nothing_to_everything() -> None:
    seen = generate(OfflineProvider(), ImageRequest("A city", "flux-dev", 2, 160, 160)).progress
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    assert len(seen) > 4


def test_cancelling_leaves_what_was_drawn() -> None:
    asked = iter([False, True])
    outcome = generate(
        OfflineProvider(), ImageRequest("A city", "flux-dev", 4, 160, 160), lambda: next(asked)
    )
    assert len(outcome.images) == 1
    assert outcome.error is None


def test_a_picture_to_start_from_is_printed_anew() -> None:
    source = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(source, "JPEG")
    images = (SourceImage(source.getvalue(), "image/jpeg"),)
    request = ImageRequest("at dusk", "flux-dev", width=200, height=120, images=images)
    drawn = picture(generate(OfflineProvider(), request).images[0].data)
    assert drawn.size == (200, 120)
    top, bottom = drawn.getpixel((60, 3)), drawn.getpixel((60, 116))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert sum(top) < sum(bottom), "what was dark stays dark"


def test_a_source_that_is_no_picture_is_refused_and_not_a_crash() -> None:
    request = ImageRequest("x", "flux-dev", images=(SourceImage(b"<svg/>", "image/png"),))
    error = generate(OfflineProvider(), request).error
    assert error is not None
    assert (error.code, error.permanent, error.may_have_charged) == (
        "generation_failed",
        True,
        False,
    )


def test_it_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("the offline provider opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert len(generate(OfflineProvider(), REQUEST).images) == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_preview_is_drawn_in_a_moment(model: str) -> None:
    draw_png("warm up", model=model, seed=1, width=64, height=64)
    before = time.process_time()
    for prompt in ("The harbour at dusk", PROMPTS["canyon"], PROMPTS["interior"]):
        draw_png(prompt, model=model, seed=3, width=1024, height=1024)
    # The processor's time, which does not depend on who else is working; measured: 0.2 s each.
    assert (time.process_time() - before) / 3 < 0.7
