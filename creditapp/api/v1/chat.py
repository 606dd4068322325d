"""``/v1/chat/completions``: answers of language models, whole or as a stream, by the token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, request

from creditapp.api.chat import charge_of_turn, failure_of_turn, turn_headers
from creditapp.api.requests import replay_headers
from creditapp.api.turns import start_conversation
from creditapp.api.v1.chat_schemas import (
    Completion,
    CompletionBody,
    CompletionChoice,
    CompletionDetails,
    CompletionMessage,
    CompletionUsage,
    FinishReason,
    PromptDetails,
    messages_of,
)
from creditapp.api.v1.documented import ANSWER_HEADERS, documents_spending
from creditapp.api.v1.requests import begin, find_model, parse
from creditapp.catalog import Catalog
from creditapp.chat import ChatOrder, LiveTurn, TurnResult, UsageRecord
from creditapp.db import stop_reading
from creditapp.errors import AppError, UnsupportedParameter
from creditapp.http.event_stream import HEARTBEAT, HEARTBEAT_SECONDS, data_only, event_stream
from creditapp.http.gate import leave_gate
from creditapp.http.json_provider import json_response, read_json
from creditapp.http.openai_errors import envelope
from creditapp.http.policies import policy
from creditapp.rate_limits import V1_CHAT_BYTES_MAX
from creditapp.services import get
from creditapp.units import credits_number

routes = Blueprint("v1_chat", __name__)

DONE = "[DONE]"
_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "filtered": "content_filter"}
"""Any other answer was cut off, by its limit or on its way."""


@routes.post("/chat/completions")
@policy("user", scope="generate", body_bytes_max=V1_CHAT_BYTES_MAX)
@documents_spending(
    "Answer messages",
    Completion,
    body=CompletionBody,
    answer_headers=[*ANSWER_HEADERS, "X-Credits-Held", "X-Usage-Id"],
    streams=True,
)
def complete() -> Response:
    """Answer messages; nothing of them is stored but what the cost needs."""
    members = read_json()
    by, key = begin(members, "v1-chat")
    body = parse(CompletionBody, members)
    if body.stream_options is not None and not body.stream:
        raise UnsupportedParameter("stream_options", "stream_options needs stream: true.")
    model = find_model(get(Catalog).language_models, body.model, "chat")
    order = ChatOrder(
        source="chat",
        messages=(),
        max_output_tokens=body.output_tokens_max(),
        options=body.options(),
        is_stateless=True,
    )
    sent = {"model": model.id, "messages": messages_of(body)}
    turn, _ = start_conversation(sent, by, order, lambda _: key)
    stop_reading()
    headers = {
        "X-Credits-Held": str(credits_number(turn.record.held_micro)),
        "X-Usage-Id": turn.record.id,
        **replay_headers(replayed=turn.replayed),
    }
    if body.stream:
        return _stream(turn, body, headers)
    leave_gate()
    result = turn.wait()
    text = "".join(turn.tail(0))
    if result.record.error_code is not None and not text:
        raise failure_of_turn(result, headers)
    answer = _completion(result, text)
    return json_response(answer, headers=headers | turn_headers(result))


def _stream(turn: LiveTurn, body: CompletionBody, headers: dict[str, str]) -> Response:
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    response = event_stream(_events(turn, with_usage=with_usage), headers)
    if "Idempotency-Key" not in request.headers:
        # A client that leaves cannot ask for the rest again: it pays for what it was sent.
        response.call_on_close(turn.stop_requested.set)
    return response


def _events(turn: LiveTurn, *, with_usage: bool) -> Iterator[str]:
    """Yield the chunks of an answer; the last ones after its commit.

    ``credits`` is in the last chunk: that of the usage where the client asked for it, else that of
    the finish reason.
    """
    chunk = _Chunks(turn.record, with_usage=with_usage)
    yield chunk.delta({"role": "assistant", "content": ""})
    for text in turn.tail(HEARTBEAT_SECONDS):
        yield chunk.delta({"content": text}) if text else HEARTBEAT
    try:
        result = turn.wait()
    except AppError as error:
        yield data_only(envelope(error))
        return
    charge = {"credits": charge_of_turn(result).model_dump(by_alias=True)}
    usage = _usage(result).model_dump()
    failed = result.record.error_code is not None
    if not failed:
        yield chunk.delta({}, _reason(result.record), None if with_usage else charge)
    if with_usage:
        yield chunk.usage(usage, charge)
    if failed:
        yield data_only(envelope(failure_of_turn(result, {})))
    else:
        yield data_only(DONE)


class _Chunks:
    """Chunks of one answer."""

    def __init__(self, record: UsageRecord, *, with_usage: bool) -> None:
        self._head = {
            "id": record.id,
            "object": "chat.completion.chunk",
            "created": int(record.created_at.timestamp()),
            "model": record.model,
        }
        self._usage = {"usage": None} if with_usage else {}

    def delta(
        self,
        delta: dict[str, str],
        reason: str | None = None,
        charge: Mapping[str, object] | None = None,
    ) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return data_only({**self._head, "choices": [choice], **self._usage, **(charge or {})})

    def usage(self, usage: dict[str, Any], charge: dict[str, Any]) -> str:
        return data_only({**self._head, "choices": [], "usage": usage, **charge})


def _completion(result: TurnResult, text: str) -> Completion:
    record = result.record
    choice = CompletionChoice(
        message=CompletionMessage(content=text), finish_reason=_reason(record)
    )
    return Completion(
        id=record.id,
        created=int(record.created_at.timestamp()),
        model=record.model,
        choices=[choice],
        usage=_usage(result),
        credits=charge_of_turn(result),
    )


def _reason(record: UsageRecord) -> FinishReason:
    return _REASONS.get(record.finish_reason or "", "length")


def _usage(result: TurnResult) -> CompletionUsage:
    usage = result.usage
    return CompletionUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=PromptDetails(
            cached_tokens=usage.cached_tokens, cache_write_tokens=usage.cache_write_tokens
        ),
        completion_tokens_details=CompletionDetails(reasoning_tokens=usage.reasoning_tokens),
    )
