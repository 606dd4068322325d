"""OpenAI's official Python client, unchanged but for ``base_url`` and ``api_key``."""

from __future__ import annotations

import base64
import io
import json
import time
import wave
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import (
    CreateEmbeddingResponse,
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
    Model,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from PIL import Image

from tests.openai_shape.conftest import Demo
from tests.openai_shape.strict import check

PROMPT = "A lighthouse at first light"
MESSAGES: Any = [{"role": "user", "content": "Say hello to the harbour"}]


def body_of(answer: Any) -> Any:
    return json.loads(answer.http_response.content)


def picture(color: str = "navy", size: tuple[int, int] = (320, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", size, color).save(out, "PNG")
    return out.getvalue()


def test_an_image_says_what_it_cost(client: OpenAI) -> None:
    answer = client.images.with_raw_response.generate(
        model="gpt-image", prompt=PROMPT, size="1024x1536", quality="low"
    )
    check(body_of(answer), ImagesResponse)
    made = answer.parse()
    assert made.data is not None
    (image,) = made.data
    with Image.open(io.BytesIO(base64.b64decode(image.b64_json or ""))) as opened:
        assert (opened.format, opened.size) == ("PNG", (1024, 1536))
    assert (made.size, made.quality, made.output_format) == ("1024x1536", "low", "png")
    assert answer.headers["X-Credits-Cost"] == "1"
    credits = body_of(answer)["credits"]
    assert credits["used"] == 1
    assert str(credits["remaining"]) == answer.headers["X-Credits-Remaining"]


def test_a_model_has_openais_name_too(client: OpenAI) -> None:
    answer = client.images.with_raw_response.generate(
        model="gpt-image-2.5-flare", prompt=PROMPT, quality="low", extra_body={"maxCredits": 1}
    )
    assert answer.headers["X-Credits-Cost"] == "1"


def test_an_address_in_place_of_the_bytes_takes_the_same_key(demo: Demo, client: OpenAI) -> None:
    made = client.images.generate(model="nano-banana", prompt=PROMPT, n=2, response_format="url")
    assert made.data is not None
    assert len(made.data) == 2
    for image in made.data:
        assert image.url is not None
        assert image.b64_json is None
        path = image.url.removeprefix(demo.address)
        file = client.get(f"{demo.address}{path}", cast_to=openai.HttpxBinaryResponseContent)
        assert file.content.startswith(b"\x89PNG")


def test_an_edit_takes_several_images_and_a_mask(client: OpenAI) -> None:
    answer = client.images.with_raw_response.edit(
        model="gpt-image",
        image=[("a.png", picture(), "image/png"), ("b.png", picture("red"), "image/png")],
        mask=("mask.png", picture("#00000000"), "image/png"),
        prompt="Make it evening",
        quality="low",
        n=2,
    )
    check(body_of(answer), ImagesResponse)
    assert len(body_of(answer)["data"]) == 2
    assert answer.headers["X-Credits-Cost"] == "2"


def test_a_single_image_is_edited(client: OpenAI) -> None:
    made = client.images.edit(model="flux-dev", image=picture(), prompt="Make it evening")
    assert made.data is not None
    assert len(made.data) == 1


def test_a_stream_shows_partial_images_before_the_final_one(client: OpenAI) -> None:
    stream = client.images.generate(
        model="nano-banana", prompt=PROMPT, stream=True, partial_images=3
    )
    events = list(stream)
    assert stream.response.headers["X-Credits-Held"] == "0.5"
    *partial, final = events
    assert len(partial) == 2  # a demonstration has no third state
    for index, event in enumerate(partial):
        assert isinstance(event, ImageGenPartialImageEvent)
        check(event.model_dump(), ImageGenPartialImageEvent)
        assert event.partial_image_index == index
        assert base64.b64decode(event.b64_json).startswith(b"\x89PNG")
    assert isinstance(final, ImageGenCompletedEvent)
    check(final.model_dump(), ImageGenCompletedEvent)
    assert final.b64_json not in {event.b64_json for event in partial}
    assert final.to_dict()["credits"]["used"] == 0.5  # type: ignore[index]  # our member


def test_a_stream_without_partial_images_has_one_event_for_each_image(client: OpenAI) -> None:
    events = list(client.images.generate(model="nano-banana", prompt=PROMPT, n=2, stream=True))
    assert [event.type for event in events] == ["image_generation.completed"] * 2


def test_an_edit_streams_its_own_events(client: OpenAI) -> None:
    events = list(
        client.images.edit(
            model="flux-dev", image=picture(), prompt="Evening", stream=True, partial_images=1
        )
    )
    *partial, final = events
    assert all(isinstance(event, ImageEditPartialImageEvent) for event in partial)
    assert isinstance(final, ImageEditCompletedEvent)
    check(final.model_dump(), ImageEditCompletedEvent)


def test_an_answer_of_chat_has_usage_and_credits(client: OpenAI) -> None:
    answer = client.chat.completions.with_raw_response.create(
        model="gpt-6-luna", messages=MESSAGES, temperature=0.2, max_completion_tokens=400
    )
    check(body_of(answer), ChatCompletion)
    made = answer.parse()
    assert "demonstration" in (made.choices[0].message.content or "")
    assert made.choices[0].finish_reason == "stop"
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens
    credits = body_of(answer)["credits"]
    assert credits["used"] > 0
    assert float(answer.headers["X-Credits-Cost"]) == credits["used"]


def test_a_limit_and_a_stop_cut_an_answer(client: OpenAI) -> None:
    short = client.chat.completions.create(model="gpt-6-luna", messages=MESSAGES, max_tokens=16)
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens <= 16
    stopped = client.chat.completions.create(model="gpt-6-luna", messages=MESSAGES, stop="no lang")
    assert stopped.choices[0].message.content == "This is a demonstration: "


@pytest.mark.parametrize("with_usage", [True, False])
def test_the_last_chunk_of_a_stream_has_the_credits(client: OpenAI, with_usage: bool) -> None:
    options: Any = {"include_usage": True} if with_usage else openai.omit
    stream = client.chat.completions.create(
        model="gpt-6-luna", messages=MESSAGES, stream=True, stream_options=options
    )
    chunks = list(stream)
    for chunk in chunks:
        check(chunk.model_dump(exclude_unset=True), ChatCompletionChunk)
    assert float(stream.response.headers["X-Credits-Held"]) > 0
    assert len({chunk.id for chunk in chunks}) == 1
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "harbour" in text
    last = chunks[-1].to_dict()
    assert last["credits"]["used"] > 0  # type: ignore[index]  # our member
    assert [chunk for chunk in chunks[:-1] if "credits" in chunk.to_dict()] == []
    if with_usage:
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-2].choices[0].finish_reason == "stop"
    else:
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_client_that_closes_a_stream_stops_the_answer(demo: Demo, client: OpenAI) -> None:
    long: Any = [{"role": "user", "content": "word " * 60}]
    stream = client.chat.completions.create(model="gpt-6-luna", messages=long, stream=True)
    usage_id = stream.response.headers["X-Usage-Id"]
    for number, _ in enumerate(stream):
        if number == 3:
            break
    stream.close()
    reader = demo.client()
    for _ in range(100):
        page: Any = reader.get(f"{demo.address}/api/usage", cast_to=object)
        (record,) = [each for each in page["items"] if each["id"] == usage_id]
        if record["state"] == "settled":
            break
        time.sleep(0.1)
    assert (record["state"], record["finishReason"]) == ("settled", "stopped")
    assert 0 < record["outputTokens"] < 60
    assert 0 < record["cost"] < record["held"]
    assert record["conversationId"] is None


def test_a_message_may_have_an_image(client: OpenAI) -> None:
    url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
    ]
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": content},
    ]
    made = client.chat.completions.create(model="gpt-6-luna", messages=messages)
    assert "It came with 1 image." in (made.choices[0].message.content or "")


@pytest.mark.parametrize("name", ["mp3", "wav", "opus"])
def test_speech_comes_as_a_file_of_the_chosen_kind(client: OpenAI, name: Any) -> None:
    answer = client.audio.speech.with_raw_response.create(
        model="gpt-4o-mini-tts",
        voice="coral",
        input="The ferry leaves at six.",
        response_format=name,
    )
    data, kinds = answer.content, {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg"}
    assert answer.headers["Content-Type"] == kinds[name]
    assert answer.headers["X-Credits-Cost"] == "1"
    if name == "wav":
        with wave.open(io.BytesIO(data)) as sound:
            assert sound.getnframes() > 0


def test_embeddings_come_as_numbers_and_as_base64(client: OpenAI) -> None:
    texts = ["a quay", "a crane"]
    answer = client.embeddings.with_raw_response.create(
        model="text-embedding-3-small", input=texts, encoding_format="float", dimensions=32
    )
    check(body_of(answer), CreateEmbeddingResponse)
    plain = answer.parse()
    packed = client.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=32)
    assert [each.index for each in packed.data] == [0, 1]
    for one, other in zip(plain.data, packed.data, strict=True):
        assert len(one.embedding) == 32
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert body_of(answer)["credits"]["used"] > 0


def test_models_are_listed_with_their_prices(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert ids[0] == "nano-banana"
    assert {"gpt-image", "gpt-6-luna", "text-embedding-3-small", "audio"} <= set(ids)
    answer = client.models.with_raw_response.retrieve("gpt-image")
    ours = frozenset({"name", "available", "prices"})
    check(body_of(answer), Model, ours=ours)
    (generations, edits) = body_of(answer)["prices"]
    assert (generations["route"], edits["route"]) == ("images/generations", "images/edits")
    assert generations["byQuality"] == {"low": 1, "medium": 2, "high": 8}
    assert client.models.retrieve("gpt-4o-mini-tts").id == "audio"
