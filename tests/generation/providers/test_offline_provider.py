"""The offline provider's promises: size, metadata, determinism, variety, scenes, time."""

from __future__ import annotations

import io
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from creditapp.catalog.load import load_catalog
from creditapp.generation.providers import (
    ImageRequest,
    LipsyncRequest,
    OfflineProvider,
    SpeechRequest,
    UpscaleRequest,
    VideoRequest,
)
from creditapp.generation.providers.offline.compose import compose
from creditapp.generation.providers.offline.draw import Drawing, draw_png
from creditapp.generation.providers.offline.palettes import choose_palette, read_palettes
from creditapp.generation.providers.offline.prompts import lettering, words_of
from creditapp.generation.providers.offline.scene_files import (
    FALLBACK,
    WEIGHTS,
    choose_scene,
    choose_weather,
    read_folder,
)
from tests.generation.providers.conftest import generate

REQUEST = ImageRequest(
    prompt="The harbour at dusk", provider_model="flux-dev", width=512, height=512, seed=7
)
SIZES = [(1024, 1024), (1536, 1024), (1024, 1536), (1792, 1024), (256, 256), (1200, 130)]
SCENES = {
    "A boat on a lake": "lake",
    "Sailing boats in the harbour": "harbour",
    "a quay": "harbour",
    "A lighthouse on a basalt cliff at first light, long exposure, calm sea": "lighthouse",
    "Ocean waves": "sea",
    "The skyline of a city": "city",
    "Mountains behind a lake": "mountain",
    "Dunes in the desert": "desert",
    "A birch forest": "forest",
    "A meadow of poppies": "meadow",
    "Cut paper canyon seen from above, layered in warm reds": "canyon",
    "A dragon over a castle": "castle",
    "A planet and its moons, in space": "space",
    "A fox in a forest": "animal",
    "Portrait of Abraham Lincoln in his study, oil on canvas, window light": "portrait",
    "Ulysses S. Grant on horseback at dawn": "portrait",
    "A quiet reading corner in a greenhouse, rain on the glass, watercolour": "interior",
    "A vase and three lemons": "still",
    "A hand-painted shop sign that says OPEN LATE, warm bulbs, wet street": "sign",
    'the "Blue Harbor Coffee"': "sign",
    "An exploded view of a mechanical watch, every part labelled, on white": "watch",
    "lorem ipsum": "abstract",
    "": "abstract",
}
LIGHT = {
    "a lake at night": {"night-blue", "night-emerald", "night-violet"},
    "a hut in the snow": {"snow"},
    "sunset over the sea": {"dusk-ember", "dusk-teal"},
    "a rainy street": {"rain"},
    "an autumn wood": {"autumn"},
}
LETTERING = {
    "A shop sign that says OPEN LATE, hand painted": "OPEN LATE",
    'logo for "Blue Harbor Coffee"': "Blue Harbor Coffee",
    "a poster that reads slow down": "slow down",
    "The NASA building at dusk": "",
}
STRANGE = [
    "",
    " ",
    "🦊🌅",
    "x" * 10_000,
    "a\0b\x07c\u202e",
    '"',
    '""',
    "« »",
    "$$$ 100%",
    "says",
    'sign "灯台"',
]


def image_of(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    small = [image.convert("RGB").resize((64, 64)) for image in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean)


def test_a_preview_has_the_requested_size_and_names_its_origin() -> None:
    prompt = "灯台 at dusk, “quoted” 🌊"
    for width, height in SIZES:
        request = ImageRequest(
            prompt=prompt, provider_model="gemini-flash", width=width, height=height, seed=41
        )
        [image] = generate(OfflineProvider(), request).images
        assert (image.mime_type, image.width, image.height) == ("image/png", width, height)
        assert image.provider_cost_micros_usd == 0
        opened = image_of(image.data)
        assert (opened.format, opened.size, opened.mode) == ("PNG", (width, height), "RGB")
        assert opened.info["Prompt"] == prompt
        assert opened.info["Model"] == "gemini-flash"
        assert opened.info["Seed"] == "41"
        assert "CreditApp" in opened.info["Software"]
        assert "preview" in opened.info["Comment"].lower()


def test_every_image_has_the_mark_in_its_corner(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = image_of(draw_png("a city", model="m", seed=1, width=512, height=512))
    monkeypatch.setattr("creditapp.generation.providers.offline.finish.mark", lambda image: None)
    plain = image_of(draw_png("a city", model="m", seed=1, width=512, height=512))
    box = ImageChops.difference(marked, plain).getbbox()
    assert box is not None
    left, top, right, bottom = box
    assert left > 400
    assert top > 450
    assert (right - left) * (bottom - top) > 600


def test_the_same_request_gives_the_same_bytes() -> None:
    one, other = (generate(OfflineProvider(), REQUEST).images[0].data for _ in range(2))
    assert one == other


def test_image_n_equals_the_first_image_of_seed_plus_n() -> None:
    several = generate(
        OfflineProvider(),
        ImageRequest(
            prompt="A city", provider_model="flux-dev", n=3, width=256, height=256, seed=5
        ),
    )
    alone = generate(
        OfflineProvider(),
        ImageRequest(
            prompt="A city", provider_model="flux-dev", n=1, width=256, height=256, seed=7
        ),
    )
    assert several.images[2].data == alone.images[0].data
    assert len({image.data for image in several.images}) == 3


def test_seed_and_model_change_the_image_visibly() -> None:
    requests = [("flux-dev", 1), ("flux-dev", 2), ("gpt-image", 1), ("gemini-flash", 1)]
    images = [
        image_of(draw_png("The harbour at dusk", model=model, seed=seed, width=256, height=256))
        for model, seed in requests
    ]
    for index, one in enumerate(images):
        for other in images[index + 1 :]:
            assert difference(one, other) > 6


def test_every_scene_and_weather_file_is_complete() -> None:
    palettes = {palette.name for palette in read_palettes()}
    assert len(read_folder("scenes")) >= 12
    for file in [*read_folder("scenes").values(), *read_folder("weather").values()]:
        assert file.words, file.name
        assert file.description, file.name
        assert file.kind in WEIGHTS, file.name
        assert "<text" not in file.svg, f"{file.name} would depend on the fonts of the machine"
        assert not re.search(r"#[0-9a-fA-F]{6}|rgb\(", file.svg), f"{file.name}: roles, not colours"
        assert choose_palette((), file.light, random.Random(1)).name in palettes


def test_every_scene_renders_in_every_palette_and_weather() -> None:
    weathers = [None, *read_folder("weather").values()]
    for scene in read_folder("scenes").values():
        for number, palette in enumerate(read_palettes()):
            weather = weathers[number % len(weathers)]
            dice = random.Random(number)
            composition = compose(scene, weather, palette, (), dice, 208, 160)
            assert "var(" not in composition.background(), scene.name
            assert "var(" not in composition.foreground("middle", "near"), scene.name
        data = draw_png(" ".join(scene.words), model="m", seed=1, width=208, height=160)
        spread = ImageStat.Stat(image_of(data).convert("L")).stddev[0]
        assert spread > 8, f"{scene.name} is not a plain surface"


def test_the_words_of_a_prompt_choose_the_scene() -> None:
    chosen = {
        prompt: choose_scene(words_of(prompt), lettered=bool(lettering(prompt))).name
        for prompt in SCENES
    }
    assert chosen == SCENES
    assert set(SCENES.values()) == set(read_folder("scenes")), "each scene has its prompt here"


def test_every_prompt_that_the_app_suggests_finds_a_scene() -> None:
    for name in ("studio", "dollars", "agents"):
        catalog = load_catalog(name)
        for prompt in [*catalog.examples, *catalog.agents.subjects]:
            assert choose_scene(words_of(prompt)).name != FALLBACK, prompt
        for subject in catalog.agents.subjects:
            assert choose_scene(words_of(subject)).name == "portrait", subject


def test_the_words_of_a_prompt_choose_the_light_and_the_weather() -> None:
    for prompt, palettes in LIGHT.items():
        chosen = {choose_palette(words_of(prompt), (), random.Random(n)).name for n in range(30)}
        assert chosen == palettes
    rain = choose_weather(words_of("a quay in the rain"))
    assert rain is not None
    assert rain.name == "rain"
    assert choose_weather(words_of("a quay")) is None


def test_the_text_of_a_sign_comes_from_the_prompt() -> None:
    assert {prompt: lettering(prompt) for prompt in LETTERING} == LETTERING
    signs = [
        image_of(draw_png(f'sign "{text}"', model="m", seed=1, width=256, height=256)).tobytes()
        for text in ("OPEN", "CLOSED")
    ]
    assert signs[0] != signs[1]


def test_no_prompt_is_too_strange_to_draw() -> None:
    for prompt in STRANGE:
        drawn = image_of(draw_png(prompt, model="gpt-image", seed=1, width=160, height=160))
        assert drawn.size == (160, 160)


def test_progress_rises_from_nothing_to_everything() -> None:
    seen = generate(
        OfflineProvider(),
        ImageRequest(prompt="A city", provider_model="flux-dev", n=2, width=160, height=160),
    ).progress
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    assert len(seen) > 4


def test_cancelling_keeps_the_images_drawn_so_far() -> None:
    stops = iter([False, True])
    outcome = generate(
        OfflineProvider(),
        ImageRequest(prompt="A city", provider_model="flux-dev", n=4, width=160, height=160),
        lambda: next(stops),
    )
    assert len(outcome.images) == 1
    assert outcome.error is None


def test_a_negative_prompt_keeps_its_words_out_of_the_image() -> None:
    for seed in range(20):
        drawing = Drawing("a lake at night in the rain", "m", seed, negative_prompt="night, lakes")
        assert not drawing.palette.night
    plain = draw_png("a boat", model="m", seed=1, width=160, height=160)
    for changed in ({"negative_prompt": "boats"}, {"style": "watercolour"}):
        other = draw_png("a boat", model="m", seed=1, width=160, height=160, **changed)
        assert difference(image_of(plain), image_of(other)) > 2, changed


@pytest.mark.parametrize("size", [(0, 100), (9000, 10), (8000, 8000)])
def test_an_image_too_large_is_refused(size: tuple[int, int]) -> None:
    request = ImageRequest(prompt="x", width=size[0], height=size[1])
    error = generate(OfflineProvider(), request).error
    assert error is not None
    assert (error.permanent, error.may_have_charged) == (True, False)


def test_it_makes_every_kind_of_request() -> None:
    kinds = {ImageRequest, UpscaleRequest, VideoRequest, SpeechRequest, LipsyncRequest}
    assert OfflineProvider.makes == kinds


def test_it_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("the offline provider opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert len(generate(OfflineProvider(), REQUEST).images) == 1


def test_the_drawing_libraries_are_loaded_with_the_first_image() -> None:
    code = (
        "import sys; import creditapp.generation.providers.offline; "
        "sys.exit(bool({'PIL', 'resvg_py', 'av'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    assert subprocess.call([sys.executable, "-c", code], cwd=root) == 0


def test_a_preview_is_drawn_in_a_moment() -> None:
    draw_png("warm up", model="flux-dev", seed=1, width=64, height=64)
    before = time.process_time()
    for prompt in ("The harbour at dusk", "a canyon", "a reading corner"):
        draw_png(prompt, model="flux-dev", seed=3, width=1024, height=1024)
    # Processor time does not depend on other programs; measured: 0.4 s each.
    assert (time.process_time() - before) / 3 < 1.2
