"""Messages of a conversation, for the ``chat_message`` component."""

from __future__ import annotations

from dataclasses import dataclass

from creditapp.catalog import Catalog
from creditapp.chat.exchanges import Exchange
from creditapp.chat.models import UsageRecord
from creditapp.chat.queries import UsageTotal
from creditapp.chat.usage import stored_usage
from creditapp.services import get


@dataclass(frozen=True)
class ChatAnswer:
    """A model's answer: who wrote it, how it ended, and what it costs."""

    usage_id: str
    model_name: str
    state: str
    preview: bool
    cost_micro: int
    """So far, while it is open."""
    held_micro: int
    input_tokens: int
    output_tokens: int
    estimated: bool
    funding: str
    finish_reason: str | None
    error_text: str | None
    poll_url: str | None
    stop_url: str | None
    retry_url: str | None


@dataclass(frozen=True)
class ChatMessageView:
    """The ``chat_message`` component."""

    id: str
    text: str
    edit_url: str | None
    answer: ChatAnswer | None


def chat_message(exchange: Exchange, *, is_last: bool = False) -> ChatMessageView:
    """Return a question, which can be edited, or an answer, whose last one can be repeated."""
    message, record = exchange.message, exchange.record
    url = f"/chat/{message.conversation_id}"
    return ChatMessageView(
        id=message.id,
        text=message.text,
        edit_url=f"{url}?edit={message.id}#chat-form" if message.role == "user" else None,
        answer=_answer(record, f"{url}/again" if is_last else None) if record else None,
    )


def _answer(record: UsageRecord, retry_url: str | None) -> ChatAnswer:
    is_open = record.state == "open"
    address = f"/chat/answers/{record.id}"
    return ChatAnswer(
        usage_id=record.id,
        model_name=record.model_name,
        state=record.state,
        preview=record.preview,
        cost_micro=_cost_so_far(record) if is_open else record.cost_micro,
        held_micro=record.held_micro,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        estimated=record.estimated,
        funding=record.funding,
        finish_reason=record.finish_reason,
        error_text=record.error_text,
        poll_url=address if is_open else None,
        stop_url=f"{address}/stop" if is_open else None,
        retry_url=None if is_open else retry_url,
    )


def _cost_so_far(record: UsageRecord) -> int:
    """Return what an open answer would cost if it ended now."""
    catalog = get(Catalog)
    model = catalog.language_model(record.model)
    if model is None:
        return record.held_micro
    return min(stored_usage(record).cost_micro(catalog, model), record.held_micro)


@dataclass(frozen=True)
class TokenUsageRow:
    """One row of the ``token_usage`` component."""

    source: str
    title: str | None
    href: str | None
    calls: int
    input_tokens: int
    output_tokens: int
    cost_micro: int
    own: bool


def token_usage(total: UsageTotal) -> TokenUsageRow:
    """Return a row; a chat links to its conversation, the API's sources have no page."""
    is_chat = total.source == "chat" and total.conversation_id is not None
    return TokenUsageRow(
        source=total.source,
        title=total.title,
        href=f"/chat/{total.conversation_id}" if is_chat else None,
        calls=total.calls,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        cost_micro=total.cost_micro,
        own=total.own,
    )
