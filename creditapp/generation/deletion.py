"""Deletion of assets and generations: hidden at once, erased after some seconds to undo it.

A ``Deletion`` row names what was deleted together. It decides between undo and erasure: each
claims the row by a compare-and-set, so that a restored asset never lacks its file. A crash between
the two leaves the assets hidden, and the next sweep erases them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from creditapp import clock
from creditapp.db import snapshot, transaction, update_if
from creditapp.errors import Conflict, NotFound
from creditapp.generation import queries
from creditapp.generation.funding import Caller
from creditapp.generation.gallery import ASSET_ID, visible
from creditapp.generation.models import (
    FINISHED,
    Asset,
    Deletion,
    Generation,
    PartialImage,
    Prompt,
    Upload,
)
from creditapp.guests import COOKIE_LIFETIME
from creditapp.ids import new_id
from creditapp.logs import error_fields
from creditapp.media import Media
from creditapp.services import get

UNDO_SECONDS: Final = 10
"""How long a deletion can be undone."""
BATCH: Final = 100
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


def delete(generation_id: str, by: Caller, *, now: datetime) -> Deletion:
    """Delete an ended generation with its assets; raise ``Conflict`` for one that has not ended.

    Owns its transaction, as the other verbs here do.
    """
    with transaction() as session:
        generation = queries.find(session, generation_id, by).generation
        if not generation.finished:
            raise Conflict("It is still being made. Cancel it first.")
        deletion = _new_deletion(session, by, now)
        _lock(session, [generation.id])
        not_deleted = Generation.deleted_at.is_(None)
        hidden = {"deleted_at": now, "deletion_id": deletion.id}
        if not update_if(session, generation, not_deleted, **hidden):
            raise NotFound("There is no such image here.")
        session.execute(
            update(Asset)
            .where(Asset.generation_id == generation.id, Asset.deletion_id.is_(None))
            .values(deletion_id=deletion.id)
            .execution_options(synchronize_session=False)
        )
    return deletion


def delete_images(asset_ids: Sequence[str], by: Caller, *, now: datetime) -> tuple[Deletion, int]:
    """Delete those of the assets that are the caller's own; return the deletion and how many.

    A generation without a visible asset left is deleted too. Raises ``NotFound`` if none of the
    ids is one of the caller's assets, and ``Conflict`` if one is of a generation that still runs:
    it is charged for what it delivered once it has ended.
    """
    wanted = (Asset.id.in_([each for each in asset_ids if ASSET_ID.fullmatch(each)]), *visible(by))
    with transaction() as session:
        generation_ids = list(session.scalars(select(Asset.generation_id).where(*wanted)))
        if not generation_ids:
            raise NotFound("There is no such image here.")
        deletion = _new_deletion(session, by, now)
        # Two that delete the last two images of a generation must not each see the other's.
        _lock(session, generation_ids)
        running = select(Generation.id).where(
            Generation.id.in_(generation_ids), Generation.state.not_in(FINISHED)
        )
        if session.scalar(running) is not None:
            raise Conflict("It is still being made. Cancel it first.")
        count = session.connection().execute(
            update(Asset).where(*wanted).values(deletion_id=deletion.id)
        )
        if not count.rowcount:
            raise NotFound("There is no such image here.")
        session.execute(
            update(Generation)
            .where(
                Generation.id.in_(generation_ids),
                Generation.deleted_at.is_(None),
                ~exists().where(Asset.generation_id == Generation.id, Asset.deletion_id.is_(None)),
            )
            .values(deleted_at=now, deletion_id=deletion.id)
            .execution_options(synchronize_session=False)
        )
        return deletion, count.rowcount


def delete_all(session: Session, owner_id: str, kind: str = "user") -> None:
    """Delete everything that an owner who ends has made, brought and asked for.

    The owner is a person whose account ends, or a receipt. Prompts and reports of problems are gone
    at once, images are hidden, and the next sweeps erase the files. Raises ``Conflict`` while
    something is being made: it is charged for what it delivers.
    """
    owner = {"owner_kind": kind, "owner_id": owner_id}
    own = select(Generation.id).filter_by(**owner)
    running = own.where(Generation.state.not_in(FINISHED)).limit(1)
    if session.scalar(running) is not None:
        raise Conflict("Something is still being made. Cancel it, or wait until it has ended.")
    _hide(session, owner, own, now=clock.now())
    session.execute(sql_delete(Prompt).filter_by(**owner))
    # Their sweep deletes what was not used for long, the files first.
    unused = update(Upload).filter_by(**owner).values(used_at=_LONG_AGO)
    session.execute(unused.execution_options(synchronize_session=False))


def forget_guests(*, now: datetime) -> None:
    """Delete what guests made so long ago that the cookie by which they see it has ended.

    What an account has adopted is the account's. Owns its transactions; the sweep erases the files.
    """
    old = (
        Generation.owner_kind == "guest",
        Generation.created_at <= now - COOKIE_LIFETIME,
        Generation.deleted_at.is_(None),
        Generation.state.in_(FINISHED),
    )
    with snapshot() as session:
        guest_ids = session.scalars(select(Generation.owner_id).where(*old).distinct()).all()
    for guest_id in guest_ids:
        with transaction() as session:
            own = select(Generation.id).where(*old, Generation.owner_id == guest_id)
            _lock(session, list(session.scalars(own)))
            _hide(session, {"owner_kind": "guest", "owner_id": guest_id}, own, now=now)


def undo(deletion_id: str, by: Caller, *, now: datetime) -> int:
    """Restore what a deletion hid; return how many assets.

    Raises ``NotFound`` for a deletion of others or one that was undone or erased already, and
    ``Conflict`` when it is too late.
    """
    kind, owner_id = by.owner
    with transaction() as session:
        deletion = session.get(Deletion, deletion_id) if "\0" not in deletion_id else None
        if deletion is None or (deletion.owner_kind, deletion.owner_id) != (kind, owner_id):
            raise NotFound("There is nothing to restore: it was restored or erased already.")
        is_recent = Deletion.created_at > now - timedelta(seconds=UNDO_SECONDS)
        if not update_if(
            session, deletion, Deletion.erasing_at.is_(None), is_recent, erasing_at=now
        ):
            raise Conflict("It is too late: the files are being erased.")
        generation_ids = _generations_of(session, deletion)
        _lock(session, generation_ids)
        restored = session.connection().execute(
            update(Asset).where(Asset.deletion_id == deletion.id).values(deletion_id=None)
        )
        # Also where another deletion hid the generation, because an asset is visible again.
        session.execute(
            update(Generation)
            .where(Generation.id.in_(generation_ids))
            .values(deleted_at=None, deletion_id=None)
            .execution_options(synchronize_session=False)
        )
        session.execute(sql_delete(Deletion).where(Deletion.id == deletion.id))
        return restored.rowcount


def sweep(*, now: datetime) -> int:
    """Erase the deletions that can no longer be undone; return how many."""
    due = Deletion.created_at <= now - timedelta(seconds=UNDO_SECONDS)
    with snapshot() as session:
        query = select(Deletion.id).where(due).order_by(Deletion.created_at).limit(BATCH)
        deletion_ids = list(session.scalars(query))
    erased = 0
    for deletion_id in deletion_ids:
        try:
            erase(deletion_id, now=now)
            erased += 1
        except Exception as error:
            # One file that cannot be removed must not keep the others.
            log.error("not erased", deletion=deletion_id, **error_fields(error))
    return erased


def erase(deletion_id: str, *, now: datetime) -> None:
    """Remove the files and rows of a deletion, and the prompts of generations without an asset.

    Safe to run twice at once, and again after a crash: it begins with the files, and the rows go
    only when no file is left.
    """
    with transaction() as session:
        deletion = session.get(Deletion, deletion_id)
        if deletion is None or not update_if(session, deletion, erasing_at=now):
            return  # undone or erased meanwhile
        keys = select(Asset.media_key, Asset.thumbnail_key).where(Asset.deletion_id == deletion_id)
        media_keys = [key for row in session.execute(keys) for key in row if key]
    for media_key in media_keys:
        get(Media).delete(media_key)
    with transaction() as session:
        generation_ids = _generations_of(session, deletion)
        _lock(session, generation_ids)
        session.execute(sql_delete(Asset).where(Asset.deletion_id == deletion_id))
        session.execute(
            sql_delete(PartialImage).where(PartialImage.generation_id.in_(generation_ids))
        )
        without_assets = ~exists().where(Asset.generation_id == Generation.id)
        session.execute(
            update(Generation)
            .where(
                Generation.id.in_(generation_ids),
                Generation.deleted_at.is_not(None),
                without_assets,
            )
            .values(prompt="", negative_prompt=None, parameters={})
            .execution_options(synchronize_session=False)
        )
        session.execute(
            update(Generation)
            .where(Generation.deletion_id == deletion_id)
            .values(deletion_id=None)
            .execution_options(synchronize_session=False)
        )
        session.execute(sql_delete(Deletion).where(Deletion.id == deletion_id))


def _hide(session: Session, owner: Mapping[str, str], own: Select[str], *, now: datetime) -> None:
    """Delete generations of one owner with their assets, and the reports of problems with them."""
    deletion = Deletion(id=new_id("del"), **owner, created_at=now)
    session.add(deletion)
    session.flush()
    changed = {"execution_options": {"synchronize_session": False}}
    session.execute(
        update(Asset)
        .where(Asset.generation_id.in_(own), Asset.deletion_id.is_(None))
        .values(deletion_id=deletion.id),
        **changed,
    )
    generations = update(Generation).where(Generation.id.in_(own))
    session.execute(generations.values(reported_at=None, report_text=None), **changed)
    hidden = {"deletion_id": deletion.id, "deleted_at": now}
    session.execute(generations.filter_by(deletion_id=None).values(**hidden), **changed)


def _new_deletion(session: Session, by: Caller, now: datetime) -> Deletion:
    kind, owner_id = by.owner
    deletion = Deletion(id=new_id("del"), owner_kind=kind, owner_id=owner_id, created_at=now)
    session.add(deletion)
    session.flush()
    return deletion


def _lock(session: Session, generation_ids: Sequence[str]) -> None:
    """Lock generations until the transaction ends, always in the same order."""
    query = select(Generation.id).where(Generation.id.in_(generation_ids)).order_by(Generation.id)
    session.execute(query.with_for_update())


def _generations_of(session: Session, deletion: Deletion) -> list[str]:
    """Return the ids of the generations that a deletion hides, whole or in part."""
    assets = select(Asset.generation_id).where(Asset.deletion_id == deletion.id)
    query = select(Generation.id).where(
        or_(Generation.deletion_id == deletion.id, Generation.id.in_(assets))
    )
    return list(session.scalars(query))
