"""Conversations: their history as a prompt, and the storing of new messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.chat.models import Conversation, Message, UsageRecord
from creditapp.chat.providers import ChatMessage
from creditapp.chat.queries import find_conversation
from creditapp.errors import Conflict
from creditapp.ids import new_id

TITLE_CHARACTERS: Final = 80


def history(
    session: Session, conversation_id: str | None, user_id: str, *, until: int | None = None
) -> list[ChatMessage]:
    """Return the messages of a member's own conversation; none without an id.

    ``until`` is the position of the first message to leave out. Raises ``NotFound`` for any other
    id, and ``Conflict`` while its last answer is being written.
    """
    if conversation_id is None:
        return []
    conversation = find_conversation(session, conversation_id, user_id)
    _require_settled(session, conversation.id)
    query = (
        select(Message)
        .where(
            Message.conversation_id == conversation.id,
            Message.text != "",  # as an answer is that failed before its first word
            Message.superseded_at.is_(None),
        )
        .order_by(Message.position)
    )
    if until is not None:
        query = query.where(Message.position < until)
    # The role of a row is one of the CHECK's.
    return [
        ChatMessage(row.role, row.text, tuple(row.image_ids))  # type: ignore[arg-type]
        for row in session.scalars(query)
    ]


def store(
    session: Session,
    conversation_id: str | None,
    user_id: str,
    source: str,
    messages: Sequence[ChatMessage],
    now: datetime,
) -> tuple[str, Message]:
    """Store the new messages and an empty answer; return the conversation's id and the answer.

    Without an id it begins a conversation. Of two turns at once in one conversation, the second
    raises ``Conflict``.
    """
    count = len(messages) + 1
    if conversation_id is None:
        conversation_id, first = new_id("cnv"), 0
        session.add(
            Conversation(
                id=conversation_id,
                user_id=user_id,
                source=source,
                title=_title(messages),
                length=count,
                created_at=now,
                updated_at=now,
            )
        )
        session.flush()
    else:
        first = _reserve(session, conversation_id, count, now)
    answer = None
    for position, message in enumerate([*messages, ChatMessage("assistant", "")], first):
        answer = Message(
            id=new_id("msg"),
            conversation_id=conversation_id,
            position=position,
            role=message.role,
            text=message.text,
            image_ids=list(message.image_ids),
            created_at=now,
        )
        session.add(answer)
    assert answer is not None  # the answer is always added
    session.flush()
    return conversation_id, answer


def supersede(session: Session, conversation_id: str, from_position: int, now: datetime) -> None:
    """Take the messages from a position on out of the conversation; their cost stays."""
    session.execute(
        update(Message)
        .where(
            Message.conversation_id == conversation_id,
            Message.position >= from_position,
            Message.superseded_at.is_(None),
        )
        .values(superseded_at=now)
        .execution_options(synchronize_session=False)
    )


def _reserve(session: Session, conversation_id: str, count: int, now: datetime) -> int:
    """Lock the conversation and return the position of its next message."""
    length = session.execute(
        update(Conversation)
        .where(Conversation.id == conversation_id)
        .values(length=Conversation.length + count, updated_at=now)
        .returning(Conversation.length)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    # Another turn may have begun while this one waited for the row.
    _require_settled(session, conversation_id)
    return int(length) - count


def _require_settled(session: Session, conversation_id: str) -> None:
    open_record = select(UsageRecord.id).where(
        UsageRecord.conversation_id == conversation_id, UsageRecord.state == "open"
    )
    if session.scalar(open_record) is not None:
        raise Conflict("The last answer of this conversation is still being written.")


def _title(messages: Sequence[ChatMessage]) -> str:
    """Return the first line of the first question."""
    text = next((each.text for each in messages if each.role == "user"), "")
    line = text.strip().partition("\n")[0].strip()
    return line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1]}…"
