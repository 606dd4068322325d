"""Gallery: an owner's assets, newest first, by filters; each page is read by an index.

The cursor of a page is the time and the id of its last asset, so a page costs the same after
100,000 images as after ten.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_
from sqlalchemy.orm import Session

from creditapp.db import UtcDateTime
from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation
from creditapp.pagination import Page, page_of

ASSET_ID: Final = re.compile(r"ast_[0-9a-z]{26}")
CURSOR: Final = re.compile(r"([0-9]{1,17})\.(ast_[0-9a-z]{26})")
"""The cursor of a page: microseconds since 1970, and an asset's id."""
COUNT_MAX: Final = 1000
"""Up to how many images a filter's matches are counted."""

KINDS: Final = ("image", "audio", "video")
SHAPES: Final = ("square", "landscape", "portrait")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_newest_first: Final = (Asset.created_at.desc(), Asset.id.desc())
_place: Final = tuple_(Asset.created_at, Asset.id)

Row = tuple[Generation, Asset]


@dataclass(frozen=True)
class GalleryFilter:
    """The images to show; an empty field shows all.

    ``search`` is a text in the prompt, ``kind`` one of ``KINDS``, ``shape`` one of ``SHAPES``.
    ``since`` and ``until`` are days in UTC, both included.
    """

    search: str = ""
    starred: bool = False
    model: str = ""
    operation: str = ""
    kind: str = ""
    shape: str = ""
    since: date | None = None
    until: date | None = None

    def conditions(self, by: Caller) -> list[ColumnElement[bool]]:
        """Return what selects these assets among the caller's own."""
        conditions = [*visible(by)]
        if self.model:
            conditions.append(Asset.model == self.model)
        if self.operation:
            conditions.append(Asset.operation == self.operation)
        if self.starred:
            conditions.append(Asset.starred_at.is_not(None))
        if self.kind:
            conditions.append(Asset.mime_type.startswith(f"{self.kind}/", autoescape=True))
        if self.shape:
            conditions.append(_of_shape(self.shape))
        if self.since:
            conditions.append(Asset.created_at >= _start_of(self.since))
        if self.until:
            conditions.append(Asset.created_at < _start_of(self.until) + timedelta(days=1))
        if self.search:
            pattern = self.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            # The owner again, so that no plan searches the prompts of others.
            kind, owner_id = by.owner
            conditions += [Generation.owner_kind == kind, Generation.owner_id == owner_id]
            # The database lowers both sides: SQLite and Python differ beyond ASCII.
            conditions.append(Generation.prompt.ilike(f"%{pattern}%", escape="\\"))
        return conditions


def visible(by: Caller) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select the caller's own assets, deleted ones aside."""
    kind, owner_id = by.owner
    return Asset.owner_kind == kind, Asset.owner_id == owner_id, Asset.deletion_id.is_(None)


def list_images(
    session: Session, by: Caller, chosen: GalleryFilter, size: int, before: str | None = None
) -> Page[Row]:
    """Return a page of the caller's assets with their generations, newest first; one query."""
    query = _rows().where(*chosen.conditions(by)).order_by(*_newest_first).limit(size + 1)
    if before and (cursor := CURSOR.fullmatch(before)):
        moment = _EPOCH + timedelta(microseconds=int(cursor[1]))
        query = query.where(_place < _place_of(moment, cursor[2]))
    rows = [(row.Generation, row.Asset) for row in session.execute(query)]
    return page_of(rows, size, lambda row: cursor_of(row[1]))


def cursor_of(asset: Asset) -> str:
    """Return the cursor of the page that begins after an asset."""
    return f"{(asset.created_at - _EPOCH) // timedelta(microseconds=1)}.{asset.id}"


def count_images(session: Session, by: Caller, chosen: GalleryFilter) -> int:
    """Return how many images a filter shows, at most ``COUNT_MAX`` and one more."""
    query = (
        select(Asset.id)
        .join(Generation, Asset.generation_id == Generation.id)
        .where(*chosen.conditions(by))
        .limit(COUNT_MAX + 1)
    )
    return session.scalar(select(func.count()).select_from(query.subquery())) or 0


def find_image(session: Session, by: Caller, asset_id: str) -> Row:
    """Return the caller's own asset with its generation; raise ``NotFound`` for any other id."""
    rows = find_images(session, by, [asset_id])
    if not rows:
        raise NotFound("There is no such image here.")
    return rows[0]


def find_images(session: Session, by: Caller, asset_ids: Sequence[str]) -> list[Row]:
    """Return those of the assets that are the caller's own, newest first; one query."""
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    ids = [each for each in asset_ids if ASSET_ID.fullmatch(each)]
    if not ids:
        return []
    query = _rows().where(Asset.id.in_(ids), *visible(by)).order_by(*_newest_first)
    return [(row.Generation, row.Asset) for row in session.execute(query)]


def neighbours(
    session: Session, by: Caller, chosen: GalleryFilter, asset: Asset
) -> tuple[str | None, str | None]:
    """Return the ids of the assets before and after one in a filter's list; two queries."""
    here = _place_of(asset.created_at, asset.id)
    query = (
        select(Asset.id)
        .join(Generation, Asset.generation_id == Generation.id)
        .where(*chosen.conditions(by))
        .limit(1)
    )
    newer = session.scalar(query.where(_place > here).order_by(Asset.created_at, Asset.id))
    older = session.scalar(query.where(_place < here).order_by(*_newest_first))
    return newer, older


def count_together(session: Session, generation_ids: Sequence[str]) -> dict[str, int]:
    """Return how many visible assets each of the generations has, in one query."""
    query = (
        select(Asset.generation_id, func.count())
        .where(Asset.generation_id.in_(generation_ids), Asset.deletion_id.is_(None))
        .group_by(Asset.generation_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def price_micro(generation: Generation, asset: Asset) -> int:
    """Return what one asset cost; those of all delivered add up to the generation's charge.

    While it runs, what one will cost: those of all ordered add up to the quote.
    """
    charged_micro, count = generation.charged_micro, max(1, generation.delivered)
    if not generation.finished:
        charged_micro, count = generation.quoted_micro, generation.n
    position = min(asset.position, count - 1)
    return charged_micro * (position + 1) // count - charged_micro * position // count


def _rows() -> Select[Generation, Asset]:
    return select(Generation, Asset).join(Asset, Asset.generation_id == Generation.id)


def _place_of(moment: datetime, asset_id: str) -> ColumnElement[Any]:
    return tuple_(literal(moment, UtcDateTime()), literal(asset_id))


def _of_shape(shape: str) -> ColumnElement[bool]:
    if shape == "landscape":
        return Asset.width > Asset.height
    if shape == "portrait":
        return Asset.width < Asset.height
    return Asset.width == Asset.height


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
