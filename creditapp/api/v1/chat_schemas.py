"""Bodies and answers of ``/v1/chat/completions``."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
)

from creditapp.api.generations import ChargeAnswer
from creditapp.api.v1.requests import Only, V1Body
from creditapp.errors import UnsupportedParameter
from creditapp.http.json_provider import json_text
from creditapp.rate_limits import CHAT_MESSAGES_MAX

OPTIONS = (
    *("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"),
    *("response_format", "reasoning_effort", "verbosity"),
)
"""Parameters passed to the model as they are, where its vendor takes them, besides ``stop``."""

STOPS_MAX = 4

Limit = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Number = Annotated[float, Field(ge=-2, le=2)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class StreamOptions(BaseModel):
    """Options of a stream: whether a chunk with the usage ends it."""

    model_config = ConfigDict(extra="forbid")

    include_usage: StrictBool = False
    include_obfuscation: Annotated[Any, Only(False)] = False


def _as_vendors_read(schema: dict[str, Any] | None) -> Any:
    """Return a schema with its fractions as floats, which requests to vendors are written with."""
    try:
        return json.loads(json_text(schema), parse_float=_finite)
    except (ValueError, RecursionError):
        raise ValueError("This schema cannot be sent to a model.") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("too large")
    return number


class ResponseFormat(BaseModel):
    """The form of the answer, as the model's vendor takes it."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Annotated[dict[str, Any] | None, AfterValidator(_as_vendors_read)] = None


class CompletionBody(V1Body):
    """Messages to answer. Parameters that no model here serves are refused by their names."""

    model: str
    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=CHAT_MESSAGES_MAX)]
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    seed: StrictInt | None = None
    stop: Annotated[
        list[Stop],
        Field(max_length=STOPS_MAX),
        BeforeValidator(
            lambda value: [value] if isinstance(value, str) else value,
            json_schema_input_type=str | list[str],
        ),
    ] = Field(default_factory=list)
    response_format: ResponseFormat | None = None
    reasoning_effort: Annotated[str, Field(max_length=16)] | None = None
    verbosity: Annotated[str, Field(max_length=16)] | None = None
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    n: Annotated[Any, Only(1)] = 1
    logprobs: Annotated[Any, Only(False)] = False
    top_logprobs: Annotated[Any, Only(0)] = 0
    store: Annotated[Any, Only(False)] = False
    tools: Annotated[Any, Only([])] = None
    tool_choice: Annotated[Any, Only("none", "auto")] = "none"
    parallel_tool_calls: Annotated[Any, Only(True, False)] = True
    modalities: Annotated[Any, Only(["text"])] = None
    service_tier: Annotated[Any, Only("auto", "default")] = "auto"
    prompt_cache_key: str | None = None

    def output_tokens_max(self) -> int | None:
        """Return the longest answer that the caller wants."""
        return self.max_completion_tokens or self.max_tokens

    def options(self) -> dict[str, Any]:
        """Return what is passed to the model, without what was left out."""
        chosen = self.model_dump(include=set(OPTIONS), exclude_none=True)
        if chosen.get("response_format") == {"type": "text"}:
            del chosen["response_format"]
        return chosen | ({"stop": self.stop} if self.stop else {})


def messages_of(body: CompletionBody) -> list[dict[str, Any]]:
    """Return the messages as ``/api/chat`` takes them; refuse by its name what it does not take."""
    return [_message(each, f"messages.{number}") for number, each in enumerate(body.messages)]


def _message(message: dict[str, Any], place: str) -> dict[str, Any]:
    present = _known(message, ("role", "content"), place)
    role = present.get("role")
    if role in ("tool", "function"):
        raise UnsupportedParameter(f"{place}.role", "Messages of tools are not supported here.")
    content = present.get("content")
    if isinstance(content, list):
        content = [_part(part, f"{place}.content.{at}") for at, part in enumerate(content)]
    return {
        "role": "system" if role == "developer" else role,
        **({"content": content} if "content" in present else {}),
    }


def _known(value: dict[str, Any], names: Collection[str], place: str) -> dict[str, Any]:
    """Return the members of an object that are not null; refuse any other by its name."""
    present = {name: each for name, each in value.items() if each is not None}
    for name in present:
        if name not in names:
            raise UnsupportedParameter(f"{place}.{name[:80]}")
    return present


def _part(part: Any, place: str) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind not in ("text", "image_url"):
        detail = "A part of a message is a text or an image_url here."
        raise UnsupportedParameter(f"{place}.type", detail)
    present = _known(part, ("type", kind), place)
    if isinstance(image := present.get("image_url"), dict):
        image = _known(image, ("url", "detail"), f"{place}.image_url")
        if image.pop("detail", "auto") not in ("auto", "high"):
            detail = "Images are sent as they are, up to 1,568 pixels: leave detail out."
            raise UnsupportedParameter(f"{place}.image_url.detail", detail)
        present["image_url"] = image
    return present


class PromptDetails(BaseModel):
    """Parts of the prompt's tokens."""

    cached_tokens: int
    cache_write_tokens: int


class CompletionDetails(BaseModel):
    """Parts of the answer's tokens."""

    reasoning_tokens: int


class CompletionUsage(BaseModel):
    """The tokens of a call."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class CompletionMessage(BaseModel):
    """The model's message."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


FinishReason = Literal["stop", "length", "content_filter"]


class CompletionChoice(BaseModel):
    """The answer, and why it ended."""

    index: Literal[0] = 0
    message: CompletionMessage
    logprobs: None = None
    finish_reason: FinishReason


class Completion(BaseModel):
    """An answer as OpenAI's clients read it; ``credits`` is ours."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage
    credits: ChargeAnswer
