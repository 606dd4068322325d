"""A strict fake for OpenAI's chat completions and embeddings, on loopback.

Shapes: ``openai.types.chat.ChatCompletionChunk`` and ``openai.types.CreateEmbeddingResponse``, with
which ``test_chat_servers.py`` compares them. Imports nothing of the app.
"""

from __future__ import annotations

import math
from typing import Any

from tests.fakes.streams import (
    CACHE_WRITE,
    CACHED,
    IMAGE,
    INPUT,
    OUTPUT,
    REASONING,
    WORDS,
    block,
    is_image,
    spoiled,
)
from tests.fakes.vendor_server import Call, Refused, VendorServer

CHAT_PARAMETERS = frozenset(
    {
        *("model", "messages", "max_completion_tokens", "service_tier", "stream"),
        *("stream_options", "temperature", "top_p", "stop", "seed", "frequency_penalty"),
        *("presence_penalty", "response_format", "reasoning_effort", "verbosity"),
    }
)
ROLES = ("system", "developer", "user", "assistant")

_CODES = {
    400: ("invalid_value", "invalid_request_error"),
    401: ("invalid_api_key", "invalid_request_error"),
    402: ("insufficient_quota", "insufficient_quota"),
    404: ("model_not_found", "invalid_request_error"),
    429: ("rate_limit_exceeded", "requests"),
    500: (None, "server_error"),
    504: (None, "server_error"),
}


class FakeOpenAIChat(VendorServer):
    """OpenAI's chat completions and embeddings."""

    KEY = "sk-fake-chat-0123456789"  # pragma: allowlist secret
    CANNOT = frozenset({"overloaded"})
    """Its stream has one kind of error."""

    @property
    def base_url(self) -> str:
        """The value for ``OPENAI_BASE_URL``."""
        return f"{super().base_url}/v1"

    def is_paid(self, call: Call) -> bool:
        return call.method == "POST"

    def stage(self, call: Call) -> str:
        return "paid"

    def respond(self, call: Call, fault: str) -> object:
        if call.headers.get("authorization") != f"Bearer {self.key}":
            raise self.refusal("http_401", call)
        if call.path == "/v1/embeddings":
            return self._embeddings(call, fault)
        if call.path != "/v1/chat/completions":
            raise self.refusal("http_404", call)
        self._check(call)
        body = call.body
        model = "gpt-other" if fault == "other_model" else f"{body['model']}-2026-09-01"
        blocks = [block(chunk) for chunk in chunks(model, fault, _image_count(body))]
        error = {"error": {"message": f"Failed. {body}", "type": "server_error", "code": None}}
        return spoiled([*blocks, block("[DONE]")], fault, block(error))

    def _check(self, call: Call) -> None:
        body = call.body
        known = isinstance(body, dict) and set(body) <= CHAT_PARAMETERS
        is_valid = (
            known
            and body["messages"]
            and all(
                each["role"] in ROLES and _is_content(each["content"]) for each in body["messages"]
            )
            and body.get("max_completion_tokens", 1) >= 1
            and body.get("stream") is True
            and body.get("stream_options") == {"include_usage": True}
        )
        if not is_valid:
            raise self.refusal("http_400", call)

    def _embeddings(self, call: Call, fault: str) -> object:
        texts = call.body["input"]
        if not isinstance(texts, list) or not texts or call.body.get("encoding_format") != "float":
            raise self.refusal("http_400", call)
        if fault == "error_inside":
            return {"error": {"message": "Failed.", "type": "server_error", "code": None}}
        tokens = sum(len(text) // 4 + 1 for text in texts)
        answer: dict[str, Any] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": [0.25, -0.5, index / 8]}
                for index, _ in enumerate(texts)
            ],
            "model": "embed-other" if fault == "other_model" else call.body["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        if fault == "nothing":
            answer["data"] = []
        if fault == "not_a_number":
            answer["data"][0]["embedding"][1] = math.nan  # which Python's JSON takes and gives
        if fault == "no_usage":
            del answer["usage"]
        return answer

    def refusal(self, fault: str, call: Call) -> Refused:
        status = 400 if fault == "refused" else int(fault.removeprefix("http_"))
        code, kind = _CODES[status]
        error = {
            # Like the real one, it quotes what was sent: nothing of it may reach a person.
            "message": f"Refused. Request: {call.body} Key: {self.key}",
            "type": kind,
            "param": None,
            "code": "content_policy_violation" if fault == "refused" else code,
        }
        return Refused(status, {"error": error})


def _is_content(content: object) -> bool:
    """Whether it is a text, or a list of parts as the SDK types them."""
    if not isinstance(content, list):
        return isinstance(content, str)
    return bool(content) and all(_is_part(part) for part in content)


def _is_part(part: dict[str, Any]) -> bool:
    if part["type"] == "text":
        return set(part) == {"type", "text"} and isinstance(part["text"], str)
    head, _, data = part["image_url"]["url"].partition(";base64,")
    return (
        part["type"] == "image_url"
        and set(part) == {"type", "image_url"}
        and is_image(data, head.removeprefix("data:"))
    )


def _image_count(body: dict[str, Any]) -> int:
    return sum(
        part["type"] == "image_url"
        for each in body["messages"]
        if isinstance(each["content"], list)
        for part in each["content"]
    )


def chunks(model: str, fault: str, image_count: int = 0) -> list[dict[str, Any]]:
    """Return the chunks of a stream; the last one has the usage and no choice."""
    words = () if fault in ("nothing", "no_text") else WORDS
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in words]
    reason = {"length": "length", "filtered": "content_filter"}.get(fault, "stop")
    choices = [_choice(delta, None) for delta in deltas] + [_choice({}, reason)]
    result = [_chunk(model, [choice], None) for choice in choices]
    if fault not in ("no_usage", "nothing"):
        times = 2 if fault == "usage_twice" else 1
        result += [_chunk(model, [], _usage(fault, image_count))] * times
    return result


def _choice(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _chunk(
    model: str, choices: list[dict[str, Any]], usage: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
        "choices": choices,
        "usage": usage,
    }


def _usage(fault: str, image_count: int) -> dict[str, Any]:
    if fault == "wild_usage":
        return {"prompt_tokens": -5, "completion_tokens": "many", "total_tokens": None}
    prompt = INPUT + image_count * IMAGE
    return {
        "prompt_tokens": prompt,
        "completion_tokens": OUTPUT,
        "total_tokens": prompt + OUTPUT,
        "prompt_tokens_details": {
            "cached_tokens": CACHED,
            "cache_write_tokens": CACHE_WRITE,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": REASONING,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


Fake = FakeOpenAIChat
