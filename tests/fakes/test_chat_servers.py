"""The fakes of chat agree with the SDK's types, and with what Anthropic documents."""

from __future__ import annotations

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletionChunk

from tests.fakes.anthropic_server import events
from tests.fakes.openai_chat_server import CHAT_PARAMETERS, FakeOpenAIChat, chunks
from tests.fakes.streams import CACHE_WRITE, CACHED, INPUT, OUTPUT, WORDS
from tests.fakes.test_openai_server import unknown_members

WHOLE = ("ok", "no_usage", "usage_twice", "length", "filtered", "no_text", "nothing")


@pytest.mark.parametrize("fault", WHOLE)
def test_every_chunk_is_the_sdks(fault: str) -> None:
    for chunk in chunks("gpt-6-luna", fault):
        parsed = ChatCompletionChunk.model_validate(chunk, strict=True)
        assert unknown_members(parsed) == []


def test_the_sdk_reads_text_and_usage() -> None:
    with (
        FakeOpenAIChat() as fake,
        openai.OpenAI(api_key=fake.key, base_url=fake.base_url, max_retries=0) as client,
    ):
        stream = client.chat.completions.create(
            model="gpt-6-luna",
            messages=[{"role": "user", "content": "Hello"}],
            max_completion_tokens=100,
            stream=True,
            stream_options={"include_usage": True},
        )
        received = list(stream)
        texts = [chunk.choices[0].delta.content or "" for chunk in received if chunk.choices]
        assert "".join(texts) == "".join(WORDS)
        usage = received[-1].usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (INPUT, OUTPUT)
        assert usage.prompt_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == CACHED

        made = client.embeddings.with_raw_response.create(
            model="text-embedding-3-small", input=["a", "b"], encoding_format="float"
        )
        answer = CreateEmbeddingResponse.model_validate_json(made.content, strict=True)
        assert unknown_members(answer) == []
        assert len(answer.data) == 2
    assert set(fake.calls[0].body) <= CHAT_PARAMETERS


def test_a_refusal_is_the_sdks() -> None:
    with (
        FakeOpenAIChat() as fake,
        openai.OpenAI(api_key="wrong", base_url=fake.base_url, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.embeddings.create(model="text-embedding-3-small", input=["a"])


def test_anthropics_events_come_in_the_documented_order() -> None:
    kinds = [event["type"] for event in events("claude-haiku-5-5", "ok")]
    assert kinds == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * len(WORDS),
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    usage = events("claude-haiku-5-5", "ok")[0]["message"]["usage"]
    assert usage["input_tokens"] == INPUT - CACHED - CACHE_WRITE, "without the cache's"
