"""Messages of a conversation, for the ``chat_message`` component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from creditapp.catalog import Catalog
from creditapp.chat.exchanges import Exchange
from creditapp.chat.models import UsageRecord
from creditapp.chat.queries import UsageTotal
from creditapp.chat.usage import stored_usage
from creditapp.db import reading
from creditapp.generation.sources import Source, Sources, own_sources
from creditapp.http.viewer import caller
from creditapp.services import get
from creditapp.web.view_models.sources import source_tile


@dataclass(frozen=True)
class ChatAnswer:
    """A model's answer: who wrote it, how it ended, and what it costs."""

    usage_id: str
    model_name: str
    state: str
    preview: bool
    omitted_messages: int
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
class ChatImageView:
    """An image of a message; without an address it was deleted."""

    alt: str
    url: str | None = None
    thumbnail_url: str | None = None


@dataclass(frozen=True)
class ChatMessageView:
    """The ``chat_message`` component."""

    id: str
    text: str
    images: Sequence[ChatImageView]
    edit_url: str | None
    answer: ChatAnswer | None


def chat_messages(found: Sequence[Exchange]) -> list[ChatMessageView]:
    """Return messages in their order; at most two queries, none without images."""
    image_ids = [id for each in found for id in each.message.image_ids]
    sources = own_sources(reading(), caller(), image_ids)
    return [_message(each, sources, is_last=each is found[-1]) for each in found]


def _message(exchange: Exchange, sources: Sources, *, is_last: bool = False) -> ChatMessageView:
    """Return a question, which can be edited, or an answer, whose last one can be repeated.

    ``sources`` has the images that are still there.
    """
    message, record = exchange.message, exchange.record
    url = f"/chat/{message.conversation_id}"
    return ChatMessageView(
        id=message.id,
        text=message.text,
        images=[_image(sources.get(id), number) for number, id in enumerate(message.image_ids, 1)],
        edit_url=f"{url}?edit={message.id}#chat-form" if message.role == "user" else None,
        answer=_answer(record, f"{url}/again" if is_last else None) if record else None,
    )


def _image(source: Source | None, number: int) -> ChatImageView:
    if source is None:
        return ChatImageView(alt=f"Image {number} was deleted")
    tile = source_tile(source)
    about = f": {tile.text}" if source.prompt else ""
    return ChatImageView(f"Image {number}{about}", tile.url, tile.thumbnail_url)


def _answer(record: UsageRecord, retry_url: str | None) -> ChatAnswer:
    is_open = record.state == "open"
    address = f"/chat/answers/{record.id}"
    return ChatAnswer(
        usage_id=record.id,
        model_name=record.model_name,
        state=record.state,
        preview=record.preview,
        omitted_messages=record.omitted_messages,
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
