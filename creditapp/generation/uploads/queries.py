"""Rows of uploads: found, listed, deleted, and swept when nothing uses them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from creditapp.db import transaction
from creditapp.errors import NotFound
from creditapp.generation.funding import Caller
from creditapp.generation.models import Upload
from creditapp.generation.sources import UPLOAD_ID
from creditapp.media import Media
from creditapp.pagination import Page, page_of
from creditapp.rate_limits import UPLOAD_DAYS
from creditapp.services import get


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
    """Delete an upload, and after the commit its files. Owns its transaction.

    An order that starts from it and has not begun fails, and is not charged.
    """
    with transaction() as session:
        upload = find_upload(session, upload_id, by)
        media_keys = _delete_rows(session, Upload.id == upload.id)
    delete_files(media_keys)


def sweep_uploads(session: Session, *, now: datetime) -> list[str]:
    """Delete the rows of uploads that no order used for ``UPLOAD_DAYS``; return their media keys.

    The caller deletes the files after its commit, by ``delete_files``.
    """
    return _delete_rows(session, Upload.used_at < now - timedelta(days=UPLOAD_DAYS))


def delete_files(media_keys: Sequence[str]) -> None:
    """Delete files whose rows are gone; one that is missing already is no error."""
    for media_key in media_keys:
        get(Media).delete(media_key)


def _delete_rows(session: Session, condition: ColumnElement[bool]) -> list[str]:
    statement = delete(Upload).where(condition)
    rows = session.execute(statement.returning(Upload.media_key, Upload.thumbnail_key)).all()
    return [key for row in rows for key in row if key is not None]
