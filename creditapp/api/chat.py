"""Routes paid by the token: chat, agent, summarize and embeddings; answers whole or as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flask import Blueprint, Response

from creditapp import chat
from creditapp.api.chat_schemas import (
    ChatAnswer,
    ConversationBody,
    Embedding,
    EmbeddingsAnswer,
    EmbeddingsBody,
    MessageAnswer,
    SummaryBody,
    TypedBody,
)
from creditapp.api.generate import generate_by_type
from creditapp.api.generations import (
    FAILURES,
    REFUSALS,
    ChargeAnswer,
    GenerationAnswer,
    GenerationError,
)
from creditapp.api.requests import (
    CREDIT_HEADERS,
    credit_headers,
    idempotency_key,
    pop_max_micro,
    replay_headers,
    with_model,
)
from creditapp.api.turns import start_conversation, start_turn
from creditapp.api.usage import TokensAnswer
from creditapp.catalog.models import TokenOperation
from creditapp.chat import ChatMessage, ChatOrder, LiveTurn, TurnResult
from creditapp.chat.live import TurnUnsettled
from creditapp.clock import now
from creditapp.db import stop_reading
from creditapp.errors import AppError, AuthenticationRequired
from creditapp.generation.providers import GenerationFailed
from creditapp.guests.claims import GuestBudgetReached, GuestLimitReached
from creditapp.http.documented import Documented
from creditapp.http.event_stream import HEARTBEAT, HEARTBEAT_SECONDS, event, event_stream
from creditapp.http.gate import leave_gate
from creditapp.http.json_provider import json_response, parse_members, read_json
from creditapp.http.policies import policy
from creditapp.http.sessions import current_member
from creditapp.http.viewer import caller, forget_viewer
from creditapp.units import credits_number

routes = Blueprint("chat", __name__)

ANY_ANSWER: Final = ChatAnswer | GenerationAnswer

_OF_GUESTS: Final = (AuthenticationRequired, GuestLimitReached, GuestBudgetReached)


def _documented(
    summary: str, body: Any, response: Any = ChatAnswer, *, streams: bool = True
) -> Documented:
    return Documented(
        summary,
        response,
        body=body,
        headers=["Idempotency-Key", "X-Max-Credits", "x-openai-api-key", "x-anthropic-api-key"],
        answer_headers=[*CREDIT_HEADERS, "X-Credits-Held", "X-Usage-Id", "Idempotent-Replayed"],
        streams=streams,
        also={202: "A generation that is not finished"} if response is ANY_ANSWER else {},
        refuses=[*REFUSALS, TurnUnsettled, *(_OF_GUESTS if response is ANY_ANSWER else ())],
    )


@routes.post("/chat")
@policy("public", scope="generate")
@_documented("Answer a conversation, or generate by type", ConversationBody | TypedBody, ANY_ANSWER)
def answer_chat() -> Response:
    """Answer messages; with ``type``, generate what it names."""
    body = read_json()
    if "type" in body:
        return generate_by_type(body)
    if current_member() is None:
        raise AuthenticationRequired("Sign up to chat.")
    return _answer_conversation("chat", body)


@routes.post("/agent")
@policy("user", scope="generate")
@_documented("Work on a task step by step", ConversationBody)
def answer_agent() -> Response:
    """Answer messages as a task: a plan, its steps, the result."""
    return _answer_conversation("agent", read_json())


@routes.post("/summarize")
@policy("user", scope="generate")
@_documented("Summarize a text", SummaryBody)
def summarize() -> Response:
    """Summarize a text."""
    members = read_json()
    by = caller(pop_max_micro(members))
    body = parse_members(SummaryBody, with_model(members))
    messages = [ChatMessage("user", body.text)]
    order = ChatOrder(source="summarize", messages=messages, model=body.model)
    key = idempotency_key(body.idempotency_key, "summarize")
    return _answer(start_turn(order, key, by), stream=body.stream)


@routes.post("/embeddings")
@policy("user", scope="generate")
@_documented("Make vectors of texts", EmbeddingsBody, EmbeddingsAnswer, streams=False)
def make_embeddings() -> Response:
    """Return the vector of each text."""
    members = read_json()
    by = caller(pop_max_micro(members))
    body = parse_members(EmbeddingsBody, with_model(members))
    key = idempotency_key(body.idempotency_key, "embeddings")
    embedded = chat.embed(
        body.input,
        body.model,
        by.require_member(),
        key=key,
        now=now(),
        request_keys=by.request_keys,
    )
    forget_viewer()
    record = embedded.result.record
    answer = EmbeddingsAnswer(
        id=record.id,
        model=record.model,
        data=[
            Embedding(index=index, embedding=list(vector))
            for index, vector in enumerate(embedded.vectors)
        ],
        preview=record.preview,
        usage=TokensAnswer.model_validate(embedded.result.usage),
        credits=charge_of_turn(embedded.result),
    )
    headers = turn_headers(embedded.result) | replay_headers(replayed=embedded.replayed)
    return json_response(answer, headers=headers)


def _answer_conversation(source: TokenOperation, sent: dict[str, Any]) -> Response:
    by = caller(pop_max_micro(sent))
    order = ChatOrder(source=source, messages=())
    turn, body = start_conversation(
        sent, by, order, lambda body: idempotency_key(body.idempotency_key, source)
    )
    return _answer(turn, stream=body.stream)


def _answer(turn: LiveTurn, *, stream: bool) -> Response:
    stop_reading()
    headers = {
        "X-Credits-Held": str(credits_number(turn.record.held_micro)),
        "X-Usage-Id": turn.record.id,
        **replay_headers(replayed=turn.replayed),
    }
    if stream:
        return event_stream(_events(turn), headers)
    leave_gate()
    result = turn.wait()
    answer = _chat_answer(result, "".join(turn.tail(0)))
    if answer.error is not None and not answer.message.content:
        raise failure_of_turn(result, headers)
    return json_response(answer, headers=headers | turn_headers(result))


def _events(turn: LiveTurn) -> Iterator[str]:
    """Yield the events of a turn; the last ones after its commit."""
    yield HEARTBEAT
    for text in turn.tail(HEARTBEAT_SECONDS):
        yield event("delta", {"text": text}) if text else HEARTBEAT
    try:
        result = turn.wait()
    except AppError as error:
        yield event("error", _problem(error))
        return
    usage = TokensAnswer.model_validate(result.usage).model_dump(by_alias=True)
    credits = charge_of_turn(result).model_dump(by_alias=True)
    yield event("usage", {**usage, "credits": credits})
    record = result.record
    if record.error_code is not None:
        yield event("error", _problem(failure_of_turn(result, {})))
        return
    done = {
        "id": record.id,
        "conversationId": record.conversation_id,
        "model": record.model,
        "finishReason": record.finish_reason,
        "preview": record.preview,
        "omittedMessages": record.omitted_messages,
    }
    yield event("done", done)


def _problem(error: AppError) -> dict[str, object]:
    problem = {"status": error.status, "title": error.title, "code": error.code}
    return {**problem, "detail": error.detail, "error": error.detail, **error.fields}


def failure_of_turn(result: TurnResult, headers: dict[str, str]) -> AppError:
    """Return the error of a turn that failed, with what it cost all the same."""
    record = result.record
    failure = FAILURES.get(record.error_code or "", GenerationFailed)(record.error_text)
    failure.fields["creditsCharged"] = credits_number(record.cost_micro)
    failure.headers.update(headers)
    return failure


def _chat_answer(result: TurnResult, text: str) -> ChatAnswer:
    record, error = result.record, None
    if record.error_code is not None:
        error = GenerationError(code=record.error_code, detail=record.error_text or "")
    return ChatAnswer(
        id=record.id,
        conversation_id=record.conversation_id,
        model=record.model,
        message=MessageAnswer(content=text),
        finish_reason=record.finish_reason or "stop",
        preview=record.preview,
        omitted_messages=record.omitted_messages,
        usage=TokensAnswer.model_validate(result.usage),
        credits=charge_of_turn(result),
        error=error,
    )


def charge_of_turn(result: TurnResult) -> ChargeAnswer:
    """Return what a turn cost, and what is left."""
    return ChargeAnswer(used_micro=result.record.cost_micro, remaining_micro=result.available_micro)


def turn_headers(result: TurnResult) -> dict[str, str]:
    """Return the headers that say the same."""
    return credit_headers(result.record.cost_micro, result.available_micro)
