"""Chat completions and embeddings of OpenAI, or of any compatible endpoint.

By plain HTTP: a stream is read as it comes and closed at once, without the SDK's own thread of
retries. Never repeated, because a second request is a second bill.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from creditapp.chat.providers.answers import (
    ANSWER_BYTES_MAX,
    ANSWER_SECONDS_MAX,
    base64_of,
    check_model,
    mapping,
    refusal_of,
    text_of,
    token_count,
)
from creditapp.chat.providers.event_stream import read_events, unreadable
from creditapp.chat.providers.protocol import (
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Embedded,
    Finished,
    FinishReason,
    ReportedUsage,
    TextDelta,
)
from creditapp.generation.providers import GenerationFailed, transport, vendor_errors

BASE_URL: Final = "https://api.openai.com/v1"
CODE_NAMES: Final = ("code", "type")
REASONS: Final[Mapping[object, FinishReason]] = {"length": "length", "content_filter": "filtered"}
EMBEDDING_BYTES_MAX: Final = 32 * 1024 * 1024


OPTIONS: Final = frozenset(
    {
        *("temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty"),
        *("response_format", "reasoning_effort", "verbosity", "dimensions"),
    }
)


class OpenAIChat:
    """Chat provider for one key and address."""

    name = "openai"

    def __init__(self, *, api_key: str, base_url: str | None, timeout_seconds: float) -> None:
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        """Return the address, never the key."""
        return f"OpenAIChat({self._base_url!r})"

    def stream(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Yield the answer's text, usage and end."""
        limit = "max_completion_tokens" if request.is_openais_own else "max_tokens"
        body: dict[str, Any] = {
            **request.parameters,
            **request.options,
            "model": request.model,
            "messages": [
                {"role": each.role, "content": _content(each)} for each in request.messages
            ],
            limit: request.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        chunks = transport.stream(
            f"{self._base_url}/chat/completions",
            headers=self._headers,
            body=body,
            refused=lambda answer: refusal_of(answer, CODE_NAMES),
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=self._timeout_seconds,
            seconds_max=ANSWER_SECONDS_MAX,
        )
        is_finished = False
        for event in read_events(chunks):
            if event.get("error"):
                raise GenerationFailed(vendor_errors.VENDOR_FAILED, reason="error_in_answer")
            check_model(event.get("model"), request.answers_as)
            choice = _first(event.get("choices"))
            if text := text_of(mapping(choice.get("delta")).get("content")):
                yield TextDelta(text)
            if isinstance(event.get("usage"), dict):
                yield usage_of(mapping(event["usage"]))
            if ended := choice.get("finish_reason"):
                is_finished = True
                yield Finished(REASONS.get(ended, "stop"))
        if not is_finished:
            raise GenerationFailed(vendor_errors.CUT_OFF, reason="no_finish_reason")

    def embed(self, request: ChatRequest) -> Embedded:
        """Return the vectors of the messages' texts."""
        answer = transport.call(
            "POST",
            f"{self._base_url}/embeddings",
            headers=self._headers,
            body={
                **request.parameters,
                "model": request.model,
                "input": [message.text for message in request.messages],
                **request.options,
                "encoding_format": "float",
            },
            bytes_max=EMBEDDING_BYTES_MAX,
            timeout_seconds=self._timeout_seconds,
        )
        if not answer.ok:
            raise refusal_of(answer, CODE_NAMES)
        content = mapping(answer.json())
        if content.get("error"):
            raise GenerationFailed(vendor_errors.VENDOR_FAILED, reason="error_in_answer")
        check_model(content.get("model"), request.answers_as)
        items = content.get("data")
        vectors = [_vector(item) for item in (items if isinstance(items, list) else [])]
        if len(vectors) != len(request.messages):
            raise unreadable("other_count")
        return Embedded(
            vectors, usage_of({**mapping(content.get("usage")), "completion_tokens": 0})
        )


def usage_of(usage: Mapping[str, object]) -> ReportedUsage:
    """Return OpenAI's usage: its ``prompt_tokens`` include what the cache read and wrote."""
    prompt = mapping(usage.get("prompt_tokens_details"))
    completion = mapping(usage.get("completion_tokens_details"))
    return ReportedUsage(
        input_tokens=token_count(usage.get("prompt_tokens")),
        cached_tokens=token_count(prompt.get("cached_tokens")) or 0,
        cache_write_tokens=token_count(prompt.get("cache_write_tokens")) or 0,
        output_tokens=token_count(usage.get("completion_tokens")),
        reasoning_tokens=token_count(completion.get("reasoning_tokens")) or 0,
    )


def _content(message: ChatMessage) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    images = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{each.mime_type};base64,{base64_of(each)}"},
        }
        for each in message.images
    ]
    return [*images, {"type": "text", "text": message.text}]


def _first(choices: object) -> Mapping[str, object]:
    return mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _vector(item: object) -> list[float]:
    numbers = mapping(item).get("embedding")
    if not isinstance(numbers, list) or not numbers:
        raise unreadable("no_vector")
    if not all(type(each) in (int, float) and math.isfinite(each) for each in numbers):
        raise unreadable("no_vector")
    return [float(each) for each in numbers]
