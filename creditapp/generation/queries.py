"""Reads of generations: by id, by request key, with their assets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Label, Select, case, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from creditapp.errors import Conflict, NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation
from creditapp.pagination import Page, page_of

ID: Final = re.compile(r"gen_[0-9a-z]{26}")
"""The form of a generation's id, which is also the cursor of a list of generations."""

QUEUE_MAX: Final = 1000
"""Beyond this many, a place in the queue is no longer counted."""


@dataclass(frozen=True)
class GenerationResult:
    """A generation with its assets; ``replayed`` when a repeated request found it."""

    generation: Generation
    assets: tuple[Asset, ...] = ()
    replayed: bool = False
    available_micro: int | None = None
    """A member's balance after this request's hold; None when it made none."""


def find(session: Session, generation_id: str, by: Caller) -> GenerationResult:
    """Return the caller's own generation; raise ``NotFound`` for any other id."""
    generation = None
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    if ID.fullmatch(generation_id):
        query = select(Generation).where(Generation.id == generation_id, *owned(by))
        generation = session.scalar(query)
    if generation is None:
        raise NotFound("There is no such image here.")
    return with_assets(session, generation)


def neighbours(session: Session, by: Caller, generation_id: str) -> tuple[str | None, str | None]:
    """Return the ids of the caller's generations after and before one; two queries."""
    query = select(Generation.id).where(*owned(by)).limit(1)
    newer = query.where(Generation.id > generation_id).order_by(Generation.id)
    older = query.where(Generation.id < generation_id).order_by(Generation.id.desc())
    return session.scalar(newer), session.scalar(older)


def find_by_key(session: Session, by: Caller, key: str) -> Generation | None:
    """Return the generation that the caller's earlier request with this key created."""
    kind, owner_id = by.owner
    return session.scalar(
        select(Generation).where(
            Generation.owner_kind == kind,
            Generation.owner_id == owner_id,
            Generation.request_key == key,
        )
    )


def require_new(session: Session, by: Caller, key: str) -> None:
    """Raise ``Conflict`` if a request with this key came first, once its wallet is locked here.

    An insert would wait for the worker that settles the earlier one, and that one for the wallet.
    """
    if find_by_key(session, by, key) is not None:
        raise Conflict("This request has just been made.")


def list_batch(session: Session, by: Caller, batch_id: str | None) -> Sequence[Generation]:
    """Return the caller's generations of one batch, deleted ones too, in the batch's order."""
    kind, owner_id = by.owner
    query = select(Generation).where(
        Generation.owner_kind == kind,
        Generation.owner_id == owner_id,
        Generation.batch_id == batch_id,
    )
    return sorted(session.scalars(query), key=_number_in_batch)


def _number_in_batch(generation: Generation) -> int:
    return int(generation.request_key.rpartition(".")[2])


def with_assets(
    session: Session, generation: Generation, *, replayed: bool = False
) -> GenerationResult:
    """Return a generation together with its assets."""
    assets = assets_of(session, [generation]).get(generation.id, ())
    return GenerationResult(generation, assets, replayed)


def assets_of(session: Session, generations: Sequence[Generation]) -> dict[str, tuple[Asset, ...]]:
    """Return the assets of many generations in one query, by the generation's id.

    Deleted ones are left out.
    """
    if not generations:
        return {}
    ids = [generation.id for generation in generations]
    query = (
        select(Asset)
        .where(Asset.generation_id.in_(ids), Asset.deletion_id.is_(None))
        .order_by(Asset.position)
    )
    assets: dict[str, tuple[Asset, ...]] = {}
    for asset in session.scalars(query):
        assets[asset.generation_id] = (*assets.get(asset.generation_id, ()), asset)
    return assets


def owned(by: Caller) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select the caller's own generations, deleted ones aside."""
    kind, owner_id = by.owner
    return (
        Generation.owner_kind == kind,
        Generation.owner_id == owner_id,
        Generation.deleted_at.is_(None),
    )


def list_generations(
    session: Session, by: Caller, size: int, before: str | None = None
) -> Page[GenerationResult]:
    """Return a page of the caller's generations with their assets, newest first; two queries."""
    query = select(Generation).where(*owned(by)).order_by(Generation.id.desc()).limit(size + 1)
    if before:
        query = query.where(Generation.id < before)
    page = page_of(session.scalars(query).all(), size, lambda row: row.id)
    assets = assets_of(session, page.rows)
    results = [GenerationResult(row, assets.get(row.id, ())) for row in page.rows]
    return Page(results, page.next_cursor)


def list_recent(session: Session, by: Caller, size: int) -> list[GenerationResult]:
    """Return the caller's newest generations with their assets, and no part of a batch.

    Two queries, and one more where the page would end within a batch.
    """
    newest = select(Generation).where(*owned(by)).order_by(Generation.id.desc())
    rows = list(session.scalars(newest.limit(size)))
    if len(rows) == size and rows[-1].batch_id:
        last = rows[-1]
        rows += session.scalars(
            newest.where(Generation.batch_id == last.batch_id, Generation.id < last.id)
        )
    assets = assets_of(session, rows)
    return [GenerationResult(row, assets.get(row.id, ())) for row in rows]


def places_in_queue(session: Session, generations: Sequence[Generation]) -> dict[str, int]:
    """Return how many are ahead of each queued generation at its provider, by its id.

    One query, none where nothing is queued; at most ``QUEUE_MAX`` are counted.
    """
    queued = [generation for generation in generations if generation.state == "queued"]
    if not queued:
        return {}
    waiting = (
        select(Generation.provider, Generation.id)
        .where(
            Generation.state == "queued",
            Generation.provider.in_({generation.provider for generation in queued}),
            Generation.id < max(generation.id for generation in queued),
        )
        .order_by(Generation.id)
        .limit(QUEUE_MAX)
    )
    rows = session.execute(waiting).all()
    return {
        each.id: sum(row.provider == each.provider and row.id < each.id for row in rows)
        for each in queued
    }


@dataclass(frozen=True)
class DayUsage:
    """Credits and images of one day."""

    charged_micro: int = 0
    delivered: int = 0


def usage_by_day(user_id: str, days: Sequence[datetime]) -> Select[Any]:
    """Return the query of what a member's generations cost and delivered since each of ``days``.

    Its rows are the number of the day, microcredits and assets. ``days`` ascend; each lasts until
    the next one, the last until now.
    """
    return (
        select(
            day_number(Generation.finished_at, days),
            func.sum(Generation.charged_micro),
            func.sum(Generation.delivered),
        )
        .where(
            Generation.owner_kind == "user",
            Generation.owner_id == user_id,
            Generation.finished_at >= days[0],
            # In the statement's text, or neither database could use the index of these rows.
            Generation.state == literal_column("'succeeded'"),
        )
        .group_by("day")
    )


def day_number(moment: InstrumentedAttribute[Any], days: Sequence[datetime]) -> Label[Any]:
    """Return the column ``day``: the number of the day that ``moment`` is in."""
    numbers = reversed(list(enumerate(days)))
    return case(*((moment >= day, number) for number, day in numbers)).label("day")


def prompts_of(session: Session, user_id: str, generation_ids: Sequence[str]) -> dict[str, str]:
    """Return the prompts of a member's generations by id, in one query; deleted ones have none."""
    if not generation_ids:
        return {}
    query = select(Generation.id, Generation.prompt).where(
        Generation.id.in_(generation_ids),
        Generation.owner_kind == "user",
        Generation.owner_id == user_id,
        Generation.deleted_at.is_(None),
    )
    return {row.id: row.prompt for row in session.execute(query)}


def count_of_guest(session: Session, cookie_id: str) -> int:
    """Return how many images a guest has: those that would move into an account."""
    query = (
        select(func.count())
        .select_from(Generation)
        .where(
            Generation.owner_kind == "guest",
            Generation.owner_id == cookie_id,
            Generation.state == "succeeded",
            Generation.deleted_at.is_(None),
        )
    )
    return session.scalar(query) or 0
