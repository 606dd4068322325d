"""Partial images of the OpenAI adapter: asked for where ordered, shown while they arrive."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from creditapp.generation.providers import ImageRequest, ProviderError, SourceFile, Work
from creditapp.generation.providers.openai import OpenAIProvider
from creditapp.generation.providers.openai_stream import ImageStream
from tests.fakes import openai_answers
from tests.fakes.openai_server import FakeOpenAI

PROMPT = "A lighthouse at dusk"
REQUEST = ImageRequest(
    prompt=PROMPT, provider_model="gpt-image-2.5-flare", quality="low", partial_images=3
)


def provider_for(fake: FakeOpenAI) -> OpenAIProvider:
    return OpenAIProvider(api_key=fake.key, base_url=fake.base_url, timeout_seconds=10)


def test_partial_images_arrive_before_the_final_one(fake_openai: FakeOpenAI) -> None:
    fake_openai.event_seconds = 0.3
    shown: list[tuple[float, bytes, str]] = []
    work = Work(note_partial=lambda data, kind: shown.append((time.monotonic(), data, kind)))
    (image,) = provider_for(fake_openai).make(REQUEST, work)
    ended = time.monotonic()
    assert [data for _, data, _ in shown] == [
        openai_answers.png(f"partial {index}", 0, 64, 64) for index in range(3)
    ]
    assert {kind for _, _, kind in shown} == {"image/png"}
    assert ended - shown[0][0] > 0.5, "they were shown at the end"
    assert image.data == openai_answers.png(PROMPT, 0, 1024, 1024)
    assert image.usage == {"input_tokens": 6, "output_tokens": 272, "total_tokens": 278}
    (call,) = fake_openai.calls
    assert (call["body"]["stream"], call["body"]["partial_images"]) == (True, 3)


def test_an_edit_streams_too(fake_openai: FakeOpenAI) -> None:
    shown: list[bytes] = []
    source = SourceFile(openai_answers.png("a", 0, 64, 64), "image/png")
    request = replace(REQUEST, images=(source,), partial_images=1)
    work = Work(note_partial=lambda data, _kind: shown.append(data))
    (image,) = provider_for(fake_openai).make(request, work)
    assert len(shown) == 1
    assert image.usage["input_image_tokens"] == 323


@pytest.mark.parametrize("count", [0, 3])
def test_several_images_at_once_and_orders_without_any_ask_for_no_stream(
    fake_openai: FakeOpenAI, count: int
) -> None:
    request = replace(REQUEST, n=2 if count else 1, partial_images=count)
    images = list(provider_for(fake_openai).make(request, Work()))
    assert len(images) == request.n
    (call,) = fake_openai.calls
    assert "stream" not in call["body"]
    assert "partial_images" not in call["body"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [("http_500", "generation_failed"), ("moderation_blocked", "prompt_rejected")],
)
def test_a_failure_is_that_of_an_answer_without_a_stream(
    fake_openai: FakeOpenAI, fault: str, code: str
) -> None:
    fake_openai.fail(fault)
    with pytest.raises(ProviderError) as raised:
        list(provider_for(fake_openai).make(REQUEST, Work()))
    assert raised.value.code == code
    assert PROMPT not in str(raised.value)


def test_an_endpoint_that_ignores_the_stream_is_read_as_usual(fake_openai: FakeOpenAI) -> None:
    fake_openai.fail("delay", seconds=0.0)  # answers as without a stream
    (image,) = provider_for(fake_openai).make(REQUEST, Work())
    assert image.data == openai_answers.png(PROMPT, 0, 1024, 1024)


def test_events_are_read_wherever_the_network_cuts_them() -> None:
    body = (
        b": comment\r\n\r\n"
        b'event: image_generation.partial_image\r\ndata: {"type": "image_generation.partial_image",'
        b' "b64_json": "bm90IGFuIGltYWdl"}\r\n\r\n'
        b'data: {"type": "image_generation.completed", "b64_json": "eA==", "usage": {}}\n\n'
        b"data: [DONE]\n\n"
    )
    for size in (1, 7, len(body)):
        shown: list[bytes] = []
        stream = ImageStream(lambda data, _kind: shown.append(data))  # noqa: B023
        for start in range(0, len(body), size):
            stream.feed(body[start : start + size])
        answer = stream.answer(body)
        assert isinstance(answer, dict)
        assert [each["b64_json"] for each in answer["data"]] == ["eA=="]
        assert shown == [], "what is no image is not shown"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (b'{"code": "server_error"}', "generation_failed"),
        (b'{"code": "moderation_blocked"}', "prompt_rejected"),
    ],
)
def test_an_error_within_a_stream_ends_it(error: bytes, code: str) -> None:
    stream = ImageStream(lambda _data, _kind: None)
    with pytest.raises(ProviderError) as raised:
        stream.feed(b'data: {"type": "error", "error": ' + error + b"}\n\n")
    assert raised.value.code == code
