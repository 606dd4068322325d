"""Reads of usage records, and the request to stop one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import case, func, literal, select, union_all
from sqlalchemy.orm import Session

from creditapp.chat.models import Conversation, Message, UsageRecord
from creditapp.db import update_if
from creditapp.errors import Conflict, NotFound
from creditapp.generation import queries as generation_queries
from creditapp.generation.queries import DayUsage, day_number

ID: Final = re.compile(r"use_[0-9a-z]{26}")
"""The form of a usage record's id, which is also the cursor of a list of them."""
CONVERSATION_ID: Final = re.compile(r"cnv_[0-9a-z]{26}")


def list_usage(
    session: Session, user_id: str, *, limit: int, before: str | None
) -> Sequence[UsageRecord]:
    """Return a member's usage records, newest first."""
    query = select(UsageRecord).where(UsageRecord.user_id == user_id)
    if before is not None:
        query = query.where(UsageRecord.id < before)
    return session.scalars(query.order_by(UsageRecord.id.desc()).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """Sums of the calls of one source, or of one conversation of it."""

    source: str
    conversation_id: str | None
    title: str | None
    calls: int
    input_tokens: int
    output_tokens: int
    cost_micro: int
    own: bool
    """Whether an own key paid for all of it."""


def usage_totals(
    session: Session, user_id: str, *, since: datetime, limit: int
) -> Sequence[UsageTotal]:
    """Return a member's usage by source and conversation, those used last first; one query."""
    record = UsageRecord
    query = (
        select(
            record.source,
            record.conversation_id,
            Conversation.title,
            func.count(),
            func.sum(record.input_tokens),
            func.sum(record.output_tokens),
            func.sum(record.cost_micro),
            func.min(case((record.funding == "own_key", 1), else_=0)),
        )
        .outerjoin(Conversation, Conversation.id == record.conversation_id)
        .where(record.user_id == user_id, record.created_at >= since)
        .group_by(record.source, record.conversation_id, Conversation.title)
        .order_by(func.max(record.id).desc())
        .limit(limit)
    )
    return [
        UsageTotal(
            source, conversation_id, title, calls, int(read), int(wrote), int(cost), own == 1
        )
        for source, conversation_id, title, calls, read, wrote, cost, own in session.execute(query)
    ]


def usage_by_day(session: Session, user_id: str, days: Sequence[datetime]) -> list[DayUsage]:
    """Return what generations and language models cost a member since each of ``days``; one query.

    ``days`` ascend; each lasts until the next one, the last until now.
    """
    record = UsageRecord
    calls = (
        select(day_number(record.created_at, days), func.sum(record.cost_micro), literal(0))
        .where(record.user_id == user_id, record.created_at >= days[0])
        .group_by("day")
    )
    usage = [DayUsage() for _ in days]
    for day, micro, images in session.execute(
        union_all(generation_queries.usage_by_day(user_id, days), calls)
    ):
        before = usage[day]
        usage[day] = DayUsage(before.charged_micro + int(micro), before.delivered + int(images))
    return usage


def find_conversation(session: Session, conversation_id: str, user_id: str) -> Conversation:
    """Return a member's own conversation; raise ``NotFound`` for any other id."""
    conversation = None
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    if CONVERSATION_ID.fullmatch(conversation_id):
        conversation = session.scalar(
            select(Conversation).where(
                Conversation.id == conversation_id, Conversation.user_id == user_id
            )
        )
    if conversation is None:
        raise NotFound("There is no such conversation here.")
    return conversation


def find_by_key(session: Session, user_id: str, key: str) -> UsageRecord | None:
    """Return the record that the member's earlier request with this key made."""
    return session.scalar(
        select(UsageRecord).where(UsageRecord.user_id == user_id, UsageRecord.request_key == key)
    )


def text_of(session: Session, record: UsageRecord) -> str:
    """Return the answer's text as it is stored; embeddings have none."""
    if record.message_id is None:
        return record.answer or ""
    return session.get_one(Message, record.message_id).text


def request_stop(session: Session, usage_id: str, user_id: str, *, now: datetime) -> UsageRecord:
    """Ask the reader of an open answer to stop; it settles what was received, within seconds.

    Raises ``NotFound`` for an id that is not the member's, ``Conflict`` once it is settled.
    """
    record = None
    if ID.fullmatch(usage_id):
        record = session.scalar(
            select(UsageRecord).where(UsageRecord.id == usage_id, UsageRecord.user_id == user_id)
        )
    if record is None:
        raise NotFound("There is no such answer here.")
    if not update_if(session, record, UsageRecord.state == "open", stop_requested_at=now):
        raise Conflict("The answer has already ended.")
    return record
