"""Conversations as a person reads them: lists, messages with what each answer cost, deletion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import and_, delete, func, literal, select, tuple_, update
from sqlalchemy.orm import Session

from creditapp.chat.models import Conversation, Message, UsageRecord
from creditapp.chat.queries import find_conversation
from creditapp.db import UtcDateTime
from creditapp.errors import Conflict, NotFound
from creditapp.generation import uploads
from creditapp.generation.models import Upload
from creditapp.pagination import Page, page_of

_CURSOR: Final = re.compile(r"(\d{1,17})\.(cnv_[0-9a-z]{26})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGE_ID: Final = re.compile(r"msg_[0-9a-z]{26}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message, with the usage record of its call if a model wrote it."""

    message: Message
    record: UsageRecord | None


def list_conversations(
    session: Session, user_id: str, *, size: int, before: str | None
) -> Page[Conversation]:
    """Return a page of a member's chats, those used last first; one query."""
    query = (
        select(Conversation)
        .where(Conversation.user_id == user_id, Conversation.source == "chat")
        .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
        .limit(size + 1)
    )
    if before and (cursor := _CURSOR.fullmatch(before)):
        moment = _EPOCH + timedelta(microseconds=int(cursor[1]))
        place = tuple_(literal(moment, UtcDateTime()), literal(cursor[2]))
        query = query.where(tuple_(Conversation.updated_at, Conversation.id) < place)
    return page_of(session.scalars(query).all(), size, _cursor_of)


def _cursor_of(conversation: Conversation) -> str:
    return f"{(conversation.updated_at - _EPOCH) // timedelta(microseconds=1)}.{conversation.id}"


def list_exchanges(
    session: Session, conversation_id: str, *, size: int, before: int | None = None
) -> Sequence[Exchange]:
    """Return the newest messages that stand, in their order; one query.

    ``before`` is a position: only what comes before it is returned.
    """
    query = (
        select(Message, UsageRecord)
        .outerjoin(
            UsageRecord,
            and_(
                UsageRecord.conversation_id == Message.conversation_id,
                UsageRecord.message_id == Message.id,
            ),
        )
        .where(
            Message.conversation_id == conversation_id,
            Message.role != "system",
            Message.superseded_at.is_(None),
        )
        .order_by(Message.position.desc())
        .limit(size)
    )
    if before is not None:
        query = query.where(Message.position < before)
    return [Exchange(message, record) for message, record in reversed(session.execute(query).all())]


def find_exchange(session: Session, usage_id: str, user_id: str) -> Exchange:
    """Return a member's own answer; raise ``NotFound`` for any other id."""
    row = session.execute(
        select(Message, UsageRecord)
        .join(UsageRecord, UsageRecord.message_id == Message.id)
        .where(UsageRecord.id == usage_id, UsageRecord.user_id == user_id)
    ).first()
    if row is None:
        raise NotFound("There is no such answer here.")
    return Exchange(*row)


def spent_micro(session: Session, conversation_id: str) -> int:
    """Return what a conversation has cost, replaced answers included."""
    total = session.scalar(
        select(func.coalesce(func.sum(UsageRecord.cost_micro), 0)).where(
            UsageRecord.conversation_id == conversation_id
        )
    )
    return int(total or 0)


def find_question(session: Session, conversation_id: str, message_id: str) -> Message:
    """Return a question of a conversation that stands; raise ``NotFound`` for any other id."""
    message = None
    if _MESSAGE_ID.fullmatch(message_id):
        message = session.scalar(
            select(Message).where(
                Message.id == message_id,
                Message.conversation_id == conversation_id,
                Message.role == "user",
                Message.superseded_at.is_(None),
            )
        )
    if message is None:
        raise NotFound("This question is not in the conversation.")
    return message


def last_question(session: Session, conversation_id: str) -> Message | None:
    """Return the newest question of a conversation."""
    return session.scalar(
        select(Message)
        .where(
            Message.conversation_id == conversation_id,
            Message.role == "user",
            Message.superseded_at.is_(None),
        )
        .order_by(Message.position.desc())
        .limit(1)
    )


def last_model(session: Session, conversation_id: str) -> str | None:
    """Return the model of the newest answer of a conversation."""
    return session.scalar(
        select(UsageRecord.model)
        .where(UsageRecord.conversation_id == conversation_id)
        .order_by(UsageRecord.id.desc())
        .limit(1)
    )


def delete_all(session: Session, user_id: str) -> None:
    """Delete every text of a person whose account ends; what it cost stays.

    The files that came with the messages are deleted by the next sweep of uploads. Raises
    ``Conflict`` while an answer is being written.
    """
    is_open = UsageRecord.user_id == user_id, UsageRecord.state == "open"
    if session.scalar(select(UsageRecord.id).where(*is_open).limit(1)) is not None:
        raise Conflict("An answer is still being written. Stop it, or wait until it has ended.")
    own = select(Conversation.id).where(Conversation.user_id == user_id)
    uploads.give_up(session, Upload.conversation_id.in_(own))
    session.execute(
        update(UsageRecord)
        .where(UsageRecord.user_id == user_id)
        .values(conversation_id=None, message_id=None, answer=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(Message).where(Message.conversation_id.in_(own)))
    session.execute(delete(Conversation).where(Conversation.user_id == user_id))


def forget_answers(session: Session, *, before: datetime) -> None:
    """Forget the texts of old answers that no conversation has; what they cost stays."""
    session.execute(
        update(UsageRecord)
        .where(UsageRecord.answer.is_not(None), UsageRecord.created_at < before)
        .where(UsageRecord.state == "settled")
        .values(answer=None)
        .execution_options(synchronize_session=False)
    )


def delete_conversation(session: Session, conversation_id: str, user_id: str) -> None:
    """Delete a member's conversation and its texts for good; what it cost stays.

    The files that came for it have no use from then on: ``sweep_uploads`` deletes them. Raises
    ``NotFound``, and ``Conflict`` while an answer is being written.
    """
    conversation = find_conversation(session, conversation_id, user_id)
    records = UsageRecord.conversation_id == conversation.id
    # The row's lock: no answer begins in between.
    session.execute(
        update(Conversation)
        .where(Conversation.id == conversation.id)
        .values(length=Conversation.length)
        .execution_options(synchronize_session=False)
    )
    if session.scalar(select(UsageRecord.id).where(records, UsageRecord.state == "open")):
        raise Conflict("An answer is still being written. Stop it first.")
    uploads.give_up(session, Upload.conversation_id == conversation.id)
    session.execute(
        update(UsageRecord).where(records).values(conversation_id=None, message_id=None)
    )
    session.execute(delete(Message).where(Message.conversation_id == conversation.id))
    session.delete(conversation)
