"""``/api/usage``: the usage records of what is paid by the token, and the request to stop one."""

from __future__ import annotations

from flask import Blueprint, Response, request

from creditapp import chat
from creditapp.api.generations import GenerationError
from creditapp.api.requests import page_size
from creditapp.chat import UsageRecord, queries
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import Conflict
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema
from creditapp.http.sessions import require_member
from creditapp.pagination import page_of, parse_cursor

routes = Blueprint("usage", __name__)


class TokensAnswer(Schema):
    """Tokens of a call. ``cachedTokens`` and ``cacheWriteTokens`` are parts of ``inputTokens``."""

    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool


class UsageAnswer(TokensAnswer):
    """One call of a language model: its tokens and its cost."""

    id: str
    source: str
    provider: str
    model: str
    preview: bool
    funding: str
    conversation_id: str | None = None
    state: str
    finish_reason: str | None = None
    held_micro: Credits
    cost_micro: Credits
    created_at: Moment
    settled_at: Moment | None = None
    error: GenerationError | None = None


class UsagePage(Schema):
    """A page of usage records, newest first."""

    items: list[UsageAnswer]
    next_cursor: str | None = None


@routes.get("/usage")
@policy("user", scope="read")
@Documented("What was paid by the token, newest first", UsagePage, query=["cursor", "limit"])
def list_usage() -> Response:
    """Return a page of the member's usage records."""
    size = page_size()
    cursor = parse_cursor(request.args.get("cursor"), queries.ID)
    rows = chat.list_usage(reading(), require_member().id, limit=size + 1, before=cursor)
    page = page_of(rows, size, lambda row: row.id)
    items = [usage_answer(row) for row in page.rows]
    return json_response(UsagePage(items=items, next_cursor=page.next_cursor))


@routes.post("/usage/<usage_id>/stop")
@policy("user", scope="generate")
@Documented("Stop an answer; what was received is charged", UsageAnswer, refuses=[Conflict])
def stop_usage(usage_id: str) -> Response:
    """Ask an open answer to stop; its stream ends with what was received."""
    member = require_member()
    with transaction() as session:
        record = chat.request_stop(session, usage_id, member.id, now=now())
    return json_response(usage_answer(record))


def usage_answer(record: UsageRecord) -> UsageAnswer:
    """Return a record as JSON."""
    answer = UsageAnswer.model_validate(
        {name: getattr(record, name) for name in UsageAnswer.model_fields if name != "error"}
    )
    if record.error_code is not None:
        answer.error = GenerationError(code=record.error_code, detail=record.error_text or "")
    return answer
