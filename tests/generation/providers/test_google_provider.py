"""The Google adapter against the strict fake, over real HTTP."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from creditapp.catalog import load_catalog
from creditapp.generation.providers import ImageRequest, Providers, SourceFile
from creditapp.generation.providers.google import GoogleProvider
from tests.fakes import media_files
from tests.fakes.google_server import FakeGoogle
from tests.generation.providers.conftest import generate

PROMPT = "A confidential lighthouse, at dusk 灯台"
REQUEST = ImageRequest(
    prompt=PROMPT,
    provider_model="gemini-3-pro-image",
    width=1536,
    height=864,
    parameters={"image_size": "1K"},
)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGoogle]:
    with FakeGoogle() as fake:
        yield fake


@pytest.fixture
def fake(server: FakeGoogle) -> FakeGoogle:
    server.forget()
    return server


def provider_for(fake: FakeGoogle, timeout_seconds: float = 5.0) -> GoogleProvider:
    return GoogleProvider(api_key=fake.key, base_url=fake.base_url, timeout_seconds=timeout_seconds)


def test_the_last_image_arrives_with_the_bytes_that_the_vendor_sent(fake: FakeGoogle) -> None:
    outcome = generate(provider_for(fake), REQUEST)
    assert outcome.error is None
    [image] = outcome.images
    assert image.data == media_files.png(PROMPT, 1024, 576)
    assert (image.mime_type, image.width, image.height) == ("image/png", 1024, 576)
    assert image.usage == {"input_tokens": 9, "output_tokens": 1200, "total_tokens": 1209}
    assert outcome.progress == [0.0, 1.0]


def test_a_request_has_the_prompt_the_shape_and_what_the_entry_says(fake: FakeGoogle) -> None:
    request = replace(REQUEST, takes_seed=True, seed=7, negative_prompt="rain")
    assert generate(provider_for(fake), request).error is None
    [call] = fake.calls
    assert call.path == "/v1beta/models/gemini-3-pro-image:generateContent"
    assert call.headers["x-goog-api-key"] == fake.key
    assert call.body == {
        "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "1K"},
            "seed": 7,
        },
    }, "a negative prompt is not among what the model takes"


@pytest.mark.parametrize(
    ("size", "aspect"),
    [((1024, 1024), "1:1"), ((1536, 1024), "3:2"), ((1000, 1600), "2:3"), ((3000, 1000), "21:9")],
)
def test_the_nearest_shape_is_asked_for(
    fake: FakeGoogle, size: tuple[int, int], aspect: str
) -> None:
    generate(provider_for(fake), replace(REQUEST, width=size[0], height=size[1]))
    assert fake.calls[0].body["generationConfig"]["imageConfig"]["aspectRatio"] == aspect


def test_images_to_start_from_are_sent_along(fake: FakeGoogle) -> None:
    sources = tuple(SourceFile(bytes([number]) * 9, "image/webp") for number in range(14))
    assert generate(provider_for(fake), replace(REQUEST, images=sources)).error is None
    parts = fake.calls[0].body["contents"][0]["parts"]
    assert [part["inlineData"]["mimeType"] for part in parts[1:]] == ["image/webp"] * 14
    assert base64.b64decode(parts[1]["inlineData"]["data"]) == sources[0].data


def test_several_images_are_one_call_each_and_a_failure_keeps_what_came(fake: FakeGoogle) -> None:
    fake.fail("ok", times=2)
    fake.fail("http_500")
    outcome = generate(provider_for(fake), replace(REQUEST, n=4))
    assert len(outcome.images) == 2
    assert outcome.error is not None
    assert fake.count == 3


def test_cancelling_half_way_asks_no_more(fake: FakeGoogle) -> None:
    asked = iter([False, True])
    outcome = generate(provider_for(fake), replace(REQUEST, n=3), lambda: next(asked))
    assert (outcome.error, len(outcome.images), fake.count) == (None, 1, 1)


@pytest.mark.parametrize(
    ("fault", "code", "permanent", "may_have_charged"),
    [
        ("http_400", "generation_failed", True, False),
        ("http_429", "provider_unavailable", False, False),
        ("http_500", "generation_failed", False, True),
        ("refused", "prompt_rejected", True, False),
        ("unsafe", "prompt_rejected", True, True),
        ("reset", "generation_failed", False, True),
        ("timeout", "generation_timeout", False, True),
        ("nothing", "generation_failed", False, True),
        ("other_model", "generation_failed", False, True),
    ],
)
def test_every_failure_has_one_meaning_and_is_asked_once(
    fake: FakeGoogle,
    fault: str,
    code: str,
    permanent: bool,
    may_have_charged: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.fail(fault, seconds=1.0)
    with capture_logs() as entries:
        outcome = generate(provider_for(fake, timeout_seconds=0.4), REQUEST)
    error = outcome.error
    assert error is not None
    assert (error.code, error.permanent, error.may_have_charged) == (
        code,
        permanent,
        may_have_charged,
    )
    assert fake.count == 1
    texts = f"{error!r} {vars(error)} {error.__cause__} {error.__context__} {entries} {caplog.text}"
    assert fake.key not in texts
    assert "confidential" not in texts


def test_a_key_that_google_does_not_know_is_no_fault_of_the_request(fake: FakeGoogle) -> None:
    for key in ("AIza-confidential", "AIza-confidential\nX: y", "AIza-confidentialé"):
        provider = GoogleProvider(api_key=key, base_url=fake.base_url, timeout_seconds=2)
        error = generate(provider, REQUEST).error
        assert error is not None
        assert (error.code, error.permanent) == ("provider_unavailable", True)
        assert "confidential" not in f"{error} {vars(error)} {error.__context__}"


def test_an_entry_may_name_what_its_model_answers_as(fake: FakeGoogle) -> None:
    fake.fail("other_model")
    request = replace(REQUEST, answers_as="gemini-2.5-flash")
    assert generate(provider_for(fake), request).error is None


def test_the_models_of_the_catalog_are_served(fake: FakeGoogle) -> None:
    values = {"GEMINI_API_KEY": fake.key, "GEMINI_BASE_URL": fake.base_url}
    models = [each for each in load_catalog("studio").models if each.provider == "google"]
    assert len(models) == 3
    for model in models:
        for shape in model.shapes:
            request = ImageRequest(prompt="a fox", width=shape.width, height=shape.height)
            outcome = generate(Providers(values, offline=None).require(model), request)
            assert outcome.error is None, (model.id, shape)
            [image] = outcome.images
            ratio = (image.width or 0) / (image.height or 1)
            assert ratio == pytest.approx(shape.width / shape.height, rel=0.01)
