"""Sources: the files that an order starts from, which are uploads or delivered assets of its owner.

An order names them by their ids. Who may use them is decided here, at submit; the worker reads
their files, which may have been deleted by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation, Upload
from creditapp.generation.providers import GenerationFailed, SourceFile
from creditapp.media import Media
from creditapp.services import get

ID_PATTERN = r"(upl|ast)_[0-9a-z]{26}"
"""The form of a source's id."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to start from, with what its bytes say about it."""

    id: str
    media_key: str
    mime_type: str
    width: int | None
    height: int | None
    milliseconds: int | None

    @property
    def kind(self) -> str:
        """``image``, ``audio`` or ``video``."""
        return self.mime_type.partition("/")[0]


Sources = Mapping[str, Source]
"""Sources by their ids."""


def find_sources(session: Session, by: Caller, ids: Sequence[str]) -> Sources:
    """Return the caller's own files of these ids; raise ``NotFound`` if one is not theirs.

    At most two queries, none without ids.
    """
    kind, owner_id = by.owner
    found: dict[str, Source] = {}
    upload_ids = [each for each in ids if each.startswith("upl_")]
    if upload_ids:
        own_uploads = select(Upload).where(
            Upload.id.in_(upload_ids), Upload.owner_kind == kind, Upload.owner_id == owner_id
        )
        found |= {row.id: _source(row) for row in session.scalars(own_uploads)}
    asset_ids = [each for each in ids if each.startswith("ast_")]
    if asset_ids:
        own_assets = (
            select(Asset)
            .join(Generation, Asset.generation_id == Generation.id)
            .where(
                Asset.id.in_(asset_ids),
                Generation.owner_kind == kind,
                Generation.owner_id == owner_id,
                Generation.deleted_at.is_(None),
            )
        )
        found |= {row.id: _source(row) for row in session.scalars(own_assets)}
    if set(ids) - found.keys():
        raise NotFound("A file to start from is not among yours.")
    return found


def _source(row: Upload | Asset) -> Source:
    return Source(row.id, row.media_key, row.mime_type, row.width, row.height, row.milliseconds)


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
