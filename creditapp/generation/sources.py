"""Sources: the files that an order starts from, which are uploads or delivered assets of its owner.

An order names them by their ids. Who may use them is decided here, at submit; the worker reads
their files, which may have been deleted by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, false, literal, or_, select, union_all, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation, Upload
from creditapp.generation.providers import GenerationFailed, SourceFile
from creditapp.media import Media
from creditapp.services import get

ID_PATTERN = r"(upl|ast)_[0-9a-z]{26}"
"""The form of a source's id."""

UPLOAD_ID = re.compile(r"upl_[0-9a-z]{26}", re.ASCII)
_ASSET_ID = re.compile(r"ast_[0-9a-z]{26}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """One file to start from, with what its bytes say about it."""

    id: str
    media_key: str
    mime_type: str
    width: int | None
    height: int | None
    milliseconds: int | None
    prompt: str = field(default="", repr=False)
    """The prompt of a delivered file; empty for an upload."""
    has_thumbnail: bool = False

    @property
    def kind(self) -> str:
        """``image``, ``audio`` or ``video``."""
        return self.mime_type.partition("/")[0]


Sources = Mapping[str, Source]
"""Sources by their ids."""


class Owner(Protocol):
    """A caller or a member, who owns files."""

    @property
    def owner(self) -> tuple[str, str]:
        """The kind and the id of the owner."""
        ...


def find_sources(session: Session, by: Owner, ids: Sequence[str]) -> Sources:
    """Return the caller's own files of these ids; raise ``NotFound`` if one is not theirs.

    At most two queries, none without ids.
    """
    found = own_sources(session, by, ids)
    missing = next((each for each in ids if each not in found), None)
    if missing:
        raise NotFound(f"You have no file {missing}; it may have been deleted.")
    return found


def own_sources(session: Session, by: Owner, ids: Sequence[str]) -> Sources:
    """Return those of the ids that are files of the caller. At most two queries."""
    kind, owner_id = by.owner
    found: dict[str, Source] = {}
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    upload_ids = [each for each in ids if UPLOAD_ID.fullmatch(each)]
    if upload_ids:
        own_uploads = select(Upload).where(
            Upload.id.in_(upload_ids), Upload.owner_kind == kind, Upload.owner_id == owner_id
        )
        found |= {row.id: as_source(row) for row in session.scalars(own_uploads)}
    asset_ids = [each for each in ids if _ASSET_ID.fullmatch(each)]
    if asset_ids:
        own_assets = (
            select(Asset, Generation.prompt)
            .join(Generation, Asset.generation_id == Generation.id)
            .where(Asset.id.in_(asset_ids), Asset.deletion_id.is_(None), *_owned(by))
        )
        rows = session.execute(own_assets)
        found |= {row.Asset.id: as_source(row.Asset, row.prompt) for row in rows}
    return found


def recent_sources(session: Session, by: Caller, kinds: Sequence[str], limit: int) -> list[Source]:
    """Return the caller's newest files of these kinds, the newest first; one query.

    Of delivered files those of the newest 500 generations count, so that a rare kind is not
    looked for in all of them.
    """
    kind, owner_id = by.owner
    columns = ("id", "media_key", "mime_type", "width", "height", "milliseconds", "thumbnail_key")
    newest = (
        select(Generation.id, Generation.prompt)
        .where(*_owned(by), Generation.delivered > 0)
        .order_by(Generation.id.desc())
        .limit(500)
        .subquery()
    )
    delivered = (
        select(*(getattr(Asset, name) for name in columns), Asset.created_at, newest.c.prompt)
        .join(newest, Asset.generation_id == newest.c.id)
        .where(_of_kinds(Asset.mime_type, kinds), Asset.deletion_id.is_(None))
        .order_by(Asset.created_at.desc(), Asset.id.desc())
        .limit(limit)
        .subquery()
    )
    uploaded = (
        select(
            *(getattr(Upload, name) for name in columns),
            Upload.created_at,
            literal("").label("prompt"),
        )
        .where(
            Upload.owner_kind == kind,
            Upload.owner_id == owner_id,
            _of_kinds(Upload.mime_type, kinds),
        )
        .order_by(Upload.created_at.desc(), Upload.id.desc())
        .limit(limit)
        .subquery()
    )
    both = union_all(select(delivered), select(uploaded)).subquery()
    query = select(both).order_by(both.c.created_at.desc(), both.c.id.desc()).limit(limit)
    return [as_source(row, row.prompt) for row in session.execute(query)]


def note_use(session: Session, sources: Sources, now: datetime) -> None:
    """Store that an order starts from these files, so that its uploads are kept longer."""
    upload_ids = [each for each in sources if each.startswith("upl_")]
    if upload_ids:
        session.execute(update(Upload).where(Upload.id.in_(upload_ids)).values(used_at=now))


def _owned(by: Owner) -> tuple[ColumnElement[bool], ...]:
    kind, owner_id = by.owner
    return (
        Generation.owner_kind == kind,
        Generation.owner_id == owner_id,
        Generation.deleted_at.is_(None),
    )


def _of_kinds(column: InstrumentedAttribute[str], kinds: Sequence[str]) -> ColumnElement[bool]:
    return or_(false(), *(column.startswith(f"{kind}/") for kind in kinds))


def as_source(row: Upload | Asset | Row[Any], prompt: str = "") -> Source:
    """Return a row of an upload, or of a delivered file with its prompt, as a source."""
    return Source(
        row.id,
        row.media_key,
        row.mime_type,
        row.width,
        row.height,
        row.milliseconds,
        prompt,
        row.thumbnail_key is not None,
    )


def stored(sources: Sources) -> dict[str, list[str]]:
    """Return the sources as a generation keeps them: the media key and type by the id."""
    return {each.id: [each.media_key, each.mime_type] for each in sources.values()}


def read_files(generation: Generation) -> dict[str, SourceFile]:
    """Return the files of a generation's sources by their ids.

    Raises ``GenerationFailed`` where one was deleted after the order.
    """
    files = {}
    for source_id, (media_key, mime_type) in generation.parameters.get("sources", {}).items():
        try:
            with get(Media).open(media_key) as file:
                files[source_id] = SourceFile(file.read(), mime_type)
        except FileNotFoundError:
            raise GenerationFailed(
                "A file to start from was deleted before the work began.",
                permanent=True,
                may_have_charged=False,
                reason="source_deleted",
            ) from None
    return files
