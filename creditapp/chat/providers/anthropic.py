"""Anthropic's Messages API, streamed, by plain HTTP.

Its ``input_tokens`` leave out what the cache read and wrote; ``output_tokens`` include thinking and
are a running total, of which the last one counts.
"""

from __future__ import annotations

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
from creditapp.chat.providers.event_stream import read_events
from creditapp.chat.providers.protocol import (
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Embedded,
    Finished,
    FinishReason,
    ReportedUsage,
    TextDelta,
    not_made_here,
)
from creditapp.generation.providers import (
    GenerationFailed,
    ProviderError,
    ProviderUnavailable,
    transport,
    vendor_errors,
)

BASE_URL: Final = "https://api.anthropic.com"
VERSION: Final = "2023-06-01"
REASONS: Final[Mapping[object, FinishReason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filtered",
}
BUSY: Final = "The model's vendor has too many orders at the moment. Try again in some minutes."


OPTIONS: Final = frozenset({"temperature", "top_p", "stop"})
TEMPERATURE_MAX: Final = 1
_OPTION_NAMES: Final = {"stop": "stop_sequences"}


class AnthropicChat:
    """Chat provider for one key and address."""

    name = "anthropic"

    def __init__(self, *, api_key: str, base_url: str | None, timeout_seconds: float) -> None:
        self._headers = {"x-api-key": api_key, "anthropic-version": VERSION}
        self._base_url = (base_url or BASE_URL).rstrip("/").removesuffix("/v1")
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        """Return the address, never the key."""
        return f"AnthropicChat({self._base_url!r})"

    def stream(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Yield the answer's text, usage and end."""
        chunks = transport.stream(
            f"{self._base_url}/v1/messages",
            headers=self._headers,
            body=_body(request),
            refused=lambda answer: refusal_of(answer, ("type",)),
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=self._timeout_seconds,
            seconds_max=ANSWER_SECONDS_MAX,
        )
        usage: dict[str, object] = {}
        is_finished = False
        for event in read_events(chunks):
            match event.get("type"):
                case "message_start":
                    message = mapping(event.get("message"))
                    check_model(message.get("model"), request.answers_as)
                    # Its output tokens are those so far: they say nothing about the whole.
                    usage = {**mapping(message.get("usage")), "output_tokens": None}
                    yield usage_of(usage)
                case "content_block_delta":
                    if text := text_of(mapping(event.get("delta")).get("text")):
                        yield TextDelta(text)
                case "message_delta":
                    reported = mapping(event.get("usage"))
                    usage |= {name: value for name, value in reported.items() if value is not None}
                    yield usage_of(usage)
                    if ended := mapping(event.get("delta")).get("stop_reason"):
                        is_finished = True
                        yield Finished(REASONS.get(ended, "stop"))
                case "error":
                    raise _error_of(mapping(event.get("error")))
                case "message_stop":
                    break
        if not is_finished:
            raise GenerationFailed(vendor_errors.CUT_OFF, reason="no_stop_reason")

    def embed(self, request: ChatRequest) -> Embedded:
        """Raise ``ProviderUnavailable``: this vendor has no embeddings."""
        raise not_made_here()


def usage_of(usage: Mapping[str, object]) -> ReportedUsage:
    """Return Anthropic's usage, with the cache's tokens added to those of the prompt."""
    plain = token_count(usage.get("input_tokens"))
    cached = token_count(usage.get("cache_read_input_tokens")) or 0
    written = token_count(usage.get("cache_creation_input_tokens")) or 0
    details = mapping(usage.get("output_tokens_details"))
    return ReportedUsage(
        input_tokens=None if plain is None else plain + cached + written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=token_count(usage.get("output_tokens")),
        reasoning_tokens=token_count(details.get("thinking_tokens")) or 0,
    )


def _body(request: ChatRequest) -> dict[str, Any]:
    system = "\n\n".join(each.text for each in request.messages if each.role == "system")
    body: dict[str, Any] = {
        **request.parameters,
        **{_OPTION_NAMES.get(name, name): value for name, value in request.options.items()},
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        "messages": [
            {"role": each.role, "content": _content(each)}
            for each in request.messages
            if each.role != "system"
        ],
        "stream": True,
    }
    return {**body, "system": system} if system else body


def _content(message: ChatMessage) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    images = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": each.mime_type, "data": base64_of(each)},
        }
        for each in message.images
    ]
    return [*images, {"type": "text", "text": message.text}]


def _error_of(error: Mapping[str, object]) -> ProviderError:
    if error.get("type") in ("overloaded_error", "rate_limit_error"):
        return ProviderUnavailable(BUSY, permanent=False, reason=str(error["type"]))
    return GenerationFailed(vendor_errors.VENDOR_FAILED, reason="error_in_answer")
