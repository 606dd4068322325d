"""Prompt history of members: every prompt that they sent, apart from what was made of it.

Deleting images leaves it, and forgetting a prompt leaves the images. A guest has none, because only
members can see and empty it; the prompts of images that move into an account begin its history.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, case, delete, literal, select, tuple_
from sqlalchemy.orm import Session

from creditapp.db import UtcDateTime, insert
from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Generation, Prompt
from creditapp.generation.sources import ID_PATTERN
from creditapp.ids import new_id
from creditapp.pagination import Page, page_of

CURSOR: Final = re.compile(r"([0-9]{1,16})\.(prm_[0-9a-z]{26})")
"""The cursor of the list: the microseconds since 1970 of a prompt's last use, and its id."""

_ID: Final = re.compile(r"prm_[0-9a-z]{26}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT: Final = ("n", "size", "quality", "style", "negative_prompt")
"""The columns of a generation that are settings of its prompt."""


def remember(session: Session, generations: Iterable[Generation]) -> None:
    """Add the prompts of members' generations to their histories, or count one more use.

    One statement. Several models ordered at once share their time, and count as one use.
    """
    rows = [_row(each) for each in generations if each.owner_kind == "user" and each.prompt]
    if not rows:
        return
    # In one order always, so that two that remember the same prompts do not deadlock.
    rows.sort(key=lambda row: str(row["digest"]))
    statement = insert(session, Prompt)
    new = statement.excluded
    is_later = new.last_used_at >= Prompt.last_used_at
    later = {
        name: case((is_later, new[name]), else_=getattr(Prompt, name))
        for name in ("model", "settings", "last_used_at")
    }
    statement = statement.on_conflict_do_update(
        index_elements=["owner_kind", "owner_id", "digest"],
        set_={
            **later,
            "first_used_at": case(
                (new.first_used_at < Prompt.first_used_at, new.first_used_at),
                else_=Prompt.first_used_at,
            ),
            "uses": Prompt.uses + case((new.last_used_at == Prompt.last_used_at, 0), else_=1),
        },
    )
    session.connection().execute(statement, rows)


def _row(generation: Generation) -> dict[str, Any]:
    return {
        "id": new_id("prm"),
        "owner_kind": generation.owner_kind,
        "owner_id": generation.owner_id,
        "digest": _digest(generation.operation, generation.prompt),
        "operation": generation.operation,
        "text": generation.prompt,
        "model": generation.model,
        "settings": _settings(generation),
        "first_used_at": generation.created_at,
        "last_used_at": generation.created_at,
        "uses": 1,
    }


def _digest(operation: str, text: str) -> str:
    return hashlib.sha256(f"{operation}\0{text}".encode()).hexdigest()


def _settings(generation: Generation) -> dict[str, object]:
    """Return the settings by their names in the studio's form: no files, and no drawn seed."""
    values = {name: getattr(generation, name) for name in _KEPT} | dict(generation.parameters or {})
    return {
        to_camel(name): value
        for name, value in values.items()
        if value and isinstance(value, str | int) and not re.fullmatch(ID_PATTERN, str(value))
    }


@dataclass(frozen=True)
class PromptFilter:
    """Prompts to show: those that contain a text, those of one operation."""

    search: str = ""
    operation: str = ""

    def conditions(self, by: Caller) -> list[ColumnElement[bool]]:
        """Return what selects the caller's own prompts of this kind."""
        conditions = _owned(by)
        if self.search:
            # The database lowers both sides: SQLite and Python differ beyond ASCII.
            conditions.append(Prompt.text.icontains(self.search, autoescape=True))
        if self.operation:
            conditions.append(Prompt.operation == self.operation)
        return conditions


def list_prompts(
    session: Session, by: Caller, chosen: PromptFilter, size: int, before: str | None = None
) -> Page[Prompt]:
    """Return a page of the caller's prompts, those used last first; one query."""
    query = (
        select(Prompt)
        .where(*chosen.conditions(by))
        .order_by(Prompt.last_used_at.desc(), Prompt.id.desc())
        .limit(size + 1)
    )
    if before and (cursor := CURSOR.fullmatch(before)):
        moment = _EPOCH + timedelta(microseconds=int(cursor[1]))
        place = tuple_(literal(moment, UtcDateTime()), literal(cursor[2]))
        query = query.where(tuple_(Prompt.last_used_at, Prompt.id) < place)
    return page_of(session.scalars(query).all(), size, _cursor_of)


def _cursor_of(prompt: Prompt) -> str:
    return f"{(prompt.last_used_at - _EPOCH) // timedelta(microseconds=1)}.{prompt.id}"


def find_prompt(session: Session, by: Caller, prompt_id: str) -> Prompt:
    """Return the caller's own prompt; raise ``NotFound`` for any other id."""
    prompt = None
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    if _ID.fullmatch(prompt_id):
        prompt = session.scalar(select(Prompt).where(Prompt.id == prompt_id, *_owned(by)))
    if prompt is None:
        raise NotFound("There is no such prompt here.")
    return prompt


def forget(session: Session, by: Caller, prompt_id: str) -> None:
    """Delete one of the caller's prompts for good; raise ``NotFound`` if it is not theirs."""
    session.delete(find_prompt(session, by, prompt_id))


def forget_all(session: Session, by: Caller) -> int:
    """Delete the caller's whole history for good; return how many prompts it had."""
    return session.connection().execute(delete(Prompt).where(*_owned(by))).rowcount


def _owned(by: Caller) -> list[ColumnElement[bool]]:
    kind, owner_id = by.owner
    return [Prompt.owner_kind == kind, Prompt.owner_id == owner_id]
