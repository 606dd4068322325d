"""Rows of uploads: found, listed, deleted, and swept when nothing uses them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from creditapp.db import snapshot, transaction
from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Upload
from creditapp.generation.sources import UPLOAD_ID
from creditapp.media import Media
from creditapp.pagination import Page, page_of
from creditapp.rate_limits import UPLOAD_DAYS
from creditapp.services import get

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def find_upload(session: Session, upload_id: str, by: Caller) -> Upload:
    """Return the caller's own upload; raise ``NotFound`` for any other id."""
    kind, owner_id = by.owner
    upload = None
    # PostgreSQL refuses a text with a NUL in it, so only what looks like an id is looked up.
    if UPLOAD_ID.fullmatch(upload_id):
        upload = session.scalar(
            select(Upload).where(
                Upload.id == upload_id, Upload.owner_kind == kind, Upload.owner_id == owner_id
            )
        )
    if upload is None:
        raise NotFound("There is no such upload here.")
    return upload


def list_uploads(
    session: Session, by: Caller, size: int, before: str | None = None
) -> Page[Upload]:
    """Return a page of the caller's uploads, newest first."""
    kind, owner_id = by.owner
    query = (
        select(Upload)
        .where(Upload.owner_kind == kind, Upload.owner_id == owner_id)
        .order_by(Upload.id.desc())
        .limit(size + 1)
    )
    if before:
        query = query.where(Upload.id < before)
    return page_of(session.scalars(query).all(), size, lambda row: row.id)


def delete_upload(upload_id: str, by: Caller) -> None:
    """Delete an upload with its files. Owns its transactions.

    An order that starts from it and has not begun fails, and is not charged.
    """
    with snapshot() as session:
        upload = find_upload(session, upload_id, by)
    _delete(upload)


def give_up(session: Session, condition: ColumnElement[bool]) -> None:
    """Let the next sweep delete the uploads that meet a condition."""
    session.execute(
        update(Upload)
        .where(condition)
        .values(conversation_id=None, used_at=_LONG_AGO)
        .execution_options(synchronize_session=False)
    )


def sweep_uploads(*, now: datetime, owner: tuple[str, str] | None = None) -> None:
    """Delete the uploads that no order used for ``UPLOAD_DAYS`` and no chat has. Owns its
    transactions. With ``owner`` only theirs.
    """
    unused = select(Upload).where(
        Upload.used_at < now - timedelta(days=UPLOAD_DAYS), Upload.conversation_id.is_(None)
    )
    if owner is not None:
        unused = unused.where(Upload.owner_kind == owner[0], Upload.owner_id == owner[1])
    with snapshot() as session:
        uploads = list(session.scalars(unused))
    for upload in uploads:
        _delete(upload)


def delete_files(media_keys: Sequence[str | None]) -> None:
    """Delete files; one that is missing already is no error."""
    for media_key in filter(None, media_keys):
        get(Media).delete(media_key)


def _delete(upload: Upload) -> None:
    """Delete the files, then the row: where the store does not answer, the row still names them."""
    delete_files([upload.media_key, upload.thumbnail_key])
    with transaction() as session:
        session.execute(delete(Upload).where(Upload.id == upload.id))
