"""A strict fake for Anthropic's Messages API, streamed, on loopback.

Shapes as Anthropic documents them (events ``message_start`` to ``message_stop``, usage as
``anthropic.types.Usage`` has it); its ``input_tokens`` leave out the cache's. Imports nothing of
the app.
"""

from __future__ import annotations

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

PARAMETERS = frozenset(
    {
        *("model", "max_tokens", "messages", "stream", "system"),
        *("temperature", "top_p", "stop_sequences"),
    }
)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
}


class FakeAnthropic(VendorServer):
    """Anthropic's Messages API."""

    KEY = "sk-ant-fake-0123456789"  # pragma: allowlist secret
    CANNOT = frozenset({"refused"})
    """It refuses a prompt by a stop reason, not by an error."""

    def is_paid(self, call: Call) -> bool:
        return call.method == "POST"

    def stage(self, call: Call) -> str:
        return "paid"

    def respond(self, call: Call, fault: str) -> object:
        if call.headers.get("x-api-key") != self.key:
            raise self.refusal("http_401", call)
        if call.path != "/v1/messages":
            raise self.refusal("http_404", call)
        self._check(call)
        model = "claude-other" if fault == "other_model" else f"{call.body['model']}-20261001"
        kind = "overloaded_error" if fault == "overloaded" else "api_error"
        error = {"type": "error", "error": {"type": kind, "message": f"Failed. {call.body}"}}
        blocks = [
            block(event, event["type"]) for event in events(model, fault, _image_count(call.body))
        ]
        return spoiled(blocks, fault, block(error, "error"))

    def _check(self, call: Call) -> None:
        body = call.body
        is_valid = (
            call.headers.get("anthropic-version") == "2023-06-01"
            and isinstance(body, dict)
            and set(body) <= PARAMETERS
            and body["max_tokens"] >= 1
            and isinstance(body.get("system", ""), str)
            and body["messages"]
            and all(
                each["role"] in ("user", "assistant") and _is_content(each["content"])
                for each in body["messages"]
            )
            and body.get("stream") is True
        )
        if not is_valid:
            raise self.refusal("http_400", call)

    def refusal(self, fault: str, call: Call) -> Refused:
        status = int(fault.removeprefix("http_"))
        # Like the real one, it may quote what was sent: nothing of it may reach a person.
        message = f"Refused. Request: {call.body} Key: {self.key}"
        error = {"type": _TYPES[status], "message": message}
        return Refused(status, {"type": "error", "error": error, "request_id": "req_fake"})


def _is_content(content: object) -> bool:
    """Whether it is a text, or a list of blocks of text and of images as base64."""
    if not isinstance(content, list):
        return isinstance(content, str) and bool(content)
    return bool(content) and all(_is_block(each) for each in content)


def _is_block(part: dict[str, Any]) -> bool:
    if part["type"] == "text":
        return set(part) == {"type", "text"} and bool(part["text"])
    source = part["source"]
    return (
        part["type"] == "image"
        and set(part) == {"type", "source"}
        and set(source) == {"type", "media_type", "data"}
        and source["type"] == "base64"
        and is_image(source["data"], source["media_type"])
    )


def _image_count(body: dict[str, Any]) -> int:
    return sum(
        part["type"] == "image"
        for each in body["messages"]
        if isinstance(each["content"], list)
        for part in each["content"]
    )


def events(model: str, fault: str, image_count: int = 0) -> list[dict[str, Any]]:
    """Return the events of a stream."""
    words = () if fault in ("nothing", "no_text") else WORDS
    counted = fault not in ("no_usage", "nothing")
    message = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(fault, 1, image_count) if counted else {},
    }
    reason = {"length": "max_tokens", "filtered": "refusal"}.get(fault, "end_turn")
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": _output(fault, OUTPUT)} if counted else {},
    }
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": word},
            }
            for word in words
        ),
        {"type": "content_block_stop", "index": 0},
        *[end] * (2 if fault == "usage_twice" else 1),
        {"type": "message_stop"},
    ]


def _usage(fault: str, output: int, image_count: int) -> dict[str, Any]:
    plain = INPUT - CACHED - CACHE_WRITE + image_count * IMAGE
    return {
        "input_tokens": -3 if fault == "wild_usage" else plain,
        "cache_creation_input_tokens": CACHE_WRITE,
        "cache_read_input_tokens": CACHED,
        "cache_creation": {
            "ephemeral_5m_input_tokens": CACHE_WRITE,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": _output(fault, output),
        "output_tokens_details": {"thinking_tokens": REASONING},
        "service_tier": "standard",
        "server_tool_use": None,
    }


def _output(fault: str, count: int) -> object:
    return "many" if fault == "wild_usage" else count


Fake = FakeAnthropic
