"""The OpenAI adapter against the strict fake, over real HTTP."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from creditapp.generation.providers import ImageRequest, ProviderError, SourceFile, SpeechRequest
from creditapp.generation.providers.openai import OpenAIProvider
from creditapp.generation.providers.openai_answers import TokenPrices
from tests.fakes import media_files, openai_answers
from tests.fakes.openai_server import FakeOpenAI
from tests.generation.providers.conftest import generate

PROMPT = "A confidential lighthouse, at dusk 灯台"
REQUEST = ImageRequest(prompt=PROMPT, provider_model="gpt-image-2.5-flare", quality="low")

# The error of each fault: code, permanent, may_have_charged.
MEANINGS = {
    "http_400": ("generation_failed", True, False),
    "http_401": ("provider_unavailable", True, False),
    "http_403": ("provider_unavailable", True, False),
    "http_404": ("provider_unavailable", True, False),
    "http_408": ("generation_timeout", False, True),
    "http_409": ("provider_unavailable", False, False),
    "http_429": ("provider_unavailable", False, False),
    "quota": ("provider_unavailable", True, False),
    "billing_limit": ("provider_unavailable", True, False),
    "moderation_blocked": ("prompt_rejected", True, False),
    "http_500": ("generation_failed", False, True),
    "http_503": ("generation_failed", False, True),
    "http_504": ("generation_timeout", False, True),
    "redirect": ("provider_unavailable", True, False),
    "reset": ("generation_failed", False, True),
    "cut_off": ("generation_failed", False, True),
    "garbage": ("generation_failed", False, True),
    "wrong_shape": ("generation_failed", False, True),
    "none": ("generation_failed", False, True),
    "fewer": ("generation_failed", False, True),
    "bad_base64": ("generation_failed", False, True),
    "not_an_image": ("generation_failed", False, True),
    "svg": ("generation_failed", False, True),
    "truncated": ("generation_failed", False, True),
    "bomb": ("generation_failed", False, True),
    "url": ("generation_failed", False, True),
}
STATUSES = {
    "generation_failed": 502,
    "provider_unavailable": 503,
    "generation_timeout": 504,
    "prompt_rejected": 422,
}


def provider_for(fake_openai: FakeOpenAI, timeout_seconds: float = 10.0) -> OpenAIProvider:
    return OpenAIProvider(
        api_key=fake_openai.key, base_url=fake_openai.base_url, timeout_seconds=timeout_seconds
    )


def every_text(error: BaseException) -> str:
    """Return every text that a traceback, a log or a page could take from an error."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        texts += [repr(seen), str(seen), repr(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return " ".join(texts)


def test_an_image_arrives_with_the_bytes_that_the_vendor_sent(fake_openai: FakeOpenAI) -> None:
    outcome = generate(provider_for(fake_openai), REQUEST)
    assert outcome.error is None
    [image] = outcome.images
    assert (image.mime_type, image.width, image.height) == ("image/png", 1024, 1024)
    assert image.data == openai_answers.png(PROMPT, 0, 1024, 1024)
    assert outcome.progress == [0.0, 1.0]
    assert image.usage["output_tokens"] == 272


def test_the_words_of_the_request_become_those_of_the_model(fake_openai: FakeOpenAI) -> None:
    generate(provider_for(fake_openai), replace(REQUEST, width=1536, height=864, n=2))
    assert fake_openai.calls == [
        {
            "path": "/v1/images/generations",
            "body": {
                "prompt": PROMPT,
                "model": "gpt-image-2.5-flare",
                "n": 2,
                "quality": "low",
                "size": "1536x864",
            },
            "sources": [],
        }
    ]


def test_a_request_without_parameters_of_its_own_has_only_what_all_vendors_know(
    fake_openai: FakeOpenAI,
) -> None:
    request = ImageRequest(prompt=PROMPT, provider_model="flux-dev", width=1536, height=864)
    assert generate(provider_for(fake_openai), request).error is None
    assert fake_openai.calls[0]["body"] == {
        "prompt": PROMPT,
        "model": "flux-dev",
        "size": "1536x864",
    }


def test_what_the_entry_says_that_the_model_takes_is_sent_apart_from_the_sdks_own(
    fake_openai: FakeOpenAI,
) -> None:
    fake_openai.lenient = True
    request = replace(
        REQUEST, takes_seed=True, seed=7, negative_prompt="rain", style="ink", parameters={"cfg": 3}
    )
    generate(provider_for(fake_openai), request)
    fake_openai.lenient = False
    body = fake_openai.calls[0]["body"]
    assert {name: body[name] for name in ("seed", "negative_prompt", "style", "cfg")} == {
        "seed": 7,
        "negative_prompt": "rain",
        "style": "ink",
        "cfg": 3,
    }


@pytest.mark.parametrize("sources", [(), (SourceFile(b"\x89PNG...", "image/png"),)])
def test_the_parameters_of_the_entry_are_sent_with_every_request(
    fake_openai: FakeOpenAI, sources: tuple[SourceFile, ...]
) -> None:
    parameters = {"output_format": "png", "moderation": "low"}
    request = replace(REQUEST, images=sources, takes_size=False, parameters=parameters)
    assert generate(provider_for(fake_openai), request).error is None
    body = {"prompt": PROMPT, "model": REQUEST.provider_model, "quality": "low", **parameters}
    assert fake_openai.calls[0]["body"] == body


def test_several_images_come_from_one_call_or_one_call_each(fake_openai: FakeOpenAI) -> None:
    provider = provider_for(fake_openai)
    assert len(generate(provider, replace(REQUEST, n=3)).images) == 3
    assert fake_openai.count == 1
    outcome = generate(provider, replace(REQUEST, n=3, one_call_each=True))
    assert len(outcome.images) == 3
    assert fake_openai.count == 4
    assert outcome.progress == [0.0, 1 / 3, 2 / 3, 1.0]


def test_an_image_to_start_from_is_sent_along(fake_openai: FakeOpenAI) -> None:
    source = SourceFile(b"\x89PNG...", "image/png")
    request = replace(REQUEST, images=(source, source), n=2)
    assert len(generate(provider_for(fake_openai), request).images) == 2
    assert fake_openai.calls[0]["path"] == "/v1/images/edits"
    assert fake_openai.calls[0]["sources"] == [7, 7]


def test_a_mask_is_sent_with_up_to_sixteen_images(fake_openai: FakeOpenAI) -> None:
    source, mask = SourceFile(b"\x89PNG...", "image/png"), SourceFile(b"\x89PNG", "image/png")
    request = replace(REQUEST, images=(source,) * 16, mask=mask)
    assert generate(provider_for(fake_openai), request).error is None
    [call] = fake_openai.calls
    assert (call["sources"], call["body"]["mask"]) == ([7] * 16, 4)


SPEECH = SpeechRequest(
    text="A confidential speech of some length.", voice="coral", provider_model="gpt-4o-mini-tts"
)


@pytest.mark.parametrize(
    ("ordered", "sent", "mime_type"),
    [("mp3", "mp3", "audio/mpeg"), ("wav", "wav", "audio/wav"), ("ogg", "opus", "audio/ogg")],
)
def test_speech_arrives_with_its_real_length(
    fake_openai: FakeOpenAI, ordered: str, sent: str, mime_type: str
) -> None:
    outcome = generate(provider_for(fake_openai), replace(SPEECH, format=ordered))
    assert outcome.error is None
    [speech] = outcome.images
    assert speech.mime_type == mime_type
    assert speech.milliseconds == pytest.approx(len(SPEECH.text) * 1000 // 15, abs=80)
    assert speech.data == media_files.audio(len(SPEECH.text) * 1000 // 15, sent)
    assert fake_openai.calls[0]["body"] == {
        "input": SPEECH.text,
        "model": "gpt-4o-mini-tts",
        "voice": "coral",
        "response_format": sent,
    }


def test_a_text_that_is_too_long_for_one_call_is_refused_unsent(fake_openai: FakeOpenAI) -> None:
    error = generate(provider_for(fake_openai), replace(SPEECH, text="a" * 4097)).error
    assert error is not None
    assert (error.permanent, error.may_have_charged, fake_openai.count) == (True, False, 0)
    assert str(error) == "The text has 4,097 characters; at most 4,096 can be spoken at once."


@pytest.mark.parametrize(
    "fault",
    ["http_401", "http_429", "http_500", "reset", "cut_off", "garbage", "empty", "not_an_image"],
)
def test_speech_that_fails_has_a_meaning_and_is_asked_once(
    fake_openai: FakeOpenAI, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake_openai.fail(fault)
    with capture_logs() as entries:
        outcome = generate(provider_for(fake_openai), SPEECH)
    assert outcome.images == []
    assert outcome.error is not None
    assert fake_openai.count == 1
    texts = every_text(outcome.error) + f"{entries} {caplog.text}"
    assert fake_openai.key not in texts
    assert "confidential" not in texts


@pytest.mark.parametrize("fault", sorted(MEANINGS))
def test_every_failure_has_one_meaning_and_is_asked_once(
    fake_openai: FakeOpenAI, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake_openai.fail(fault)
    with capture_logs() as entries:
        outcome = generate(provider_for(fake_openai), REQUEST)
    error = outcome.error
    assert isinstance(error, ProviderError)
    assert (error.code, error.permanent, error.may_have_charged) == MEANINGS[fault]
    assert error.status == STATUSES[error.code]
    assert error.fields == {"creditsCharged": 0}
    assert outcome.images == []
    assert fake_openai.count == 1
    logs = f"{entries} {caplog.text}"
    texts = every_text(error) + logs
    assert fake_openai.key not in texts
    assert "confidential" not in texts
    assert error.reason in logs


def test_a_success_logs_neither_prompt_nor_key(
    fake_openai: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as entries:
        generate(provider_for(fake_openai), REQUEST)
    logs = f"{entries} {caplog.text}"
    assert fake_openai.key not in logs
    assert "confidential" not in logs
    assert "confidential" not in repr(REQUEST)


@pytest.mark.parametrize("fault", ["timeout", "slow"])
def test_an_answer_that_does_not_come_in_time_has_an_unknown_outcome(
    fake_openai: FakeOpenAI, fault: str
) -> None:
    fake_openai.fail(fault, seconds=5)
    outcome = generate(provider_for(fake_openai, timeout_seconds=0.4), REQUEST)
    assert outcome.error is not None
    assert outcome.error.code == "generation_timeout"
    assert outcome.error.may_have_charged
    assert fake_openai.count == 1


def test_an_address_without_a_server_charges_nothing() -> None:
    for base_url in ("http://127.0.0.1:9/v1", "not an address", "http://"):
        provider = OpenAIProvider(api_key="sk-x", base_url=base_url, timeout_seconds=2)
        error = generate(provider, REQUEST).error
        assert error is not None, base_url
        assert (error.code, error.may_have_charged) == ("provider_unavailable", False), base_url


@pytest.mark.parametrize("key", ["sk-confidentialé", "sk-confidential\nX: y", ""])
def test_a_key_that_cannot_be_sent_is_refused_without_being_quoted(
    fake_openai: FakeOpenAI, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", fake_openai.key)
    provider = OpenAIProvider(api_key=key, base_url=fake_openai.base_url, timeout_seconds=2)
    error = generate(provider, REQUEST).error
    assert error is not None
    assert (error.code, error.permanent) == ("provider_unavailable", True)
    assert "confidential" not in every_text(error)


@pytest.mark.parametrize(
    ("fault", "delivered"),
    [("fewer", 2), ("more", 3), ("bad_base64", 2), ("bomb", 2), ("truncated", 2), ("no_usage", 3)],
)
def test_a_missing_image_is_not_delivered_and_the_rest_is(
    fake_openai: FakeOpenAI, fault: str, delivered: int
) -> None:
    fake_openai.fail(fault)
    outcome = generate(provider_for(fake_openai), replace(REQUEST, n=3))
    assert outcome.error is None
    assert len(outcome.images) == delivered


@pytest.mark.parametrize("variant", ["wrapped_base64", "unpadded_base64", "urlsafe_base64"])
def test_every_common_form_of_base64_is_an_image(fake_openai: FakeOpenAI, variant: str) -> None:
    delivered = generate(provider_for(fake_openai), replace(REQUEST, n=3)).images
    fake_openai.fail(variant)
    outcome = generate(provider_for(fake_openai), replace(REQUEST, n=3))
    assert outcome.error is None
    assert [image.data for image in outcome.images] == [image.data for image in delivered]


def test_a_failure_half_way_leaves_what_was_delivered(fake_openai: FakeOpenAI) -> None:
    fake_openai.fail("ok", times=2)
    fake_openai.fail("http_500")
    outcome = generate(provider_for(fake_openai), replace(REQUEST, n=4, one_call_each=True))
    assert len(outcome.images) == 2
    assert outcome.error is not None
    assert outcome.error.code == "generation_failed"
    assert fake_openai.count == 3


def test_cancelling_half_way_asks_no_more(fake_openai: FakeOpenAI) -> None:
    asked = iter([False, False, True])
    outcome = generate(
        provider_for(fake_openai), replace(REQUEST, n=4, one_call_each=True), lambda: next(asked)
    )
    assert outcome.error is None
    assert len(outcome.images) == 2
    assert fake_openai.count == 2


def test_the_parts_of_the_cost_add_up_to_the_calls_cost(fake_openai: FakeOpenAI) -> None:
    provider = OpenAIProvider(
        api_key=fake_openai.key,
        base_url=fake_openai.base_url,
        prices=TokenPrices(text_in=5, image_in=8, image_out=30),
    )
    images = generate(provider, replace(REQUEST, n=3)).images
    usage = images[0].usage
    cost = usage["input_tokens"] * 5 + usage["output_tokens"] * 30
    assert sum(image.provider_cost_micros_usd or 0 for image in images) == cost
    assert cost % 3 != 0
    fake_openai.fail("not_an_image")
    error = generate(provider, REQUEST).error
    assert error is not None
    assert error.provider_cost_micros_usd == usage["input_tokens"] * 5 + 272 * 30


def test_nothing_of_the_environment_is_sent_to_another_vendor(
    fake_openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-account")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    assert generate(provider_for(fake_openai), REQUEST).error is None
    assert "org-secret" not in str(fake_openai.headers)
    assert "proj-secret" not in str(fake_openai.headers)


def test_the_sdk_is_loaded_when_first_used() -> None:
    import subprocess
    import sys

    code = "import sys, creditapp.generation.providers.openai; print('openai' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
