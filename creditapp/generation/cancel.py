"""Cancel a generation, or delete one that has ended."""

from __future__ import annotations

from sqlalchemy import delete as sql_delete
from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp.clock import now
from creditapp.db import changed, transaction
from creditapp.errors import Conflict, NotFound
from creditapp.generation import funding, queries
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation
from creditapp.media import Media
from creditapp.services import get


def cancel(generation_id: str, by: Caller) -> None:
    """Cancel a queued generation at once; ask the worker of a running one to stop.

    Assets that a running one has delivered by then are kept and paid for; the rest is released.
    Owns its transaction. Raises ``Conflict`` when it has already ended.
    """
    moment = now()
    with transaction() as session:
        generation = queries.find(session, generation_id, by).generation
        if _change(session, generation, "queued", state="canceled", finished_at=moment):
            funding.release(session, generation, moment)
        elif not _change(session, generation, "running", cancel_requested_at=moment):
            raise Conflict("It has already ended.")


def delete(generation_id: str, by: Caller) -> None:
    """Delete an ended generation with its files; raise ``Conflict`` for one that has not ended.

    Owns its transaction. The files go after the commit: a file without a row is waste, while a row
    without its file would be a broken image.
    """
    with transaction() as session:
        media_keys = _delete_rows(session, queries.find(session, generation_id, by).generation)
    for media_key in media_keys:
        get(Media).delete(media_key)


def _delete_rows(session: Session, generation: Generation) -> list[str]:
    """Delete the assets, hide the generation with its prompt erased; return the media keys."""
    if not generation.finished:
        raise Conflict("It is still being made. Cancel it first.")
    hidden = session.execute(
        update(Generation)
        .where(Generation.id == generation.id, Generation.deleted_at.is_(None))
        .values(deleted_at=now(), prompt="")
        .execution_options(synchronize_session=False)
    )
    if changed(hidden) == 0:
        raise NotFound("There is no such image here.")
    assets = sql_delete(Asset).where(Asset.generation_id == generation.id)
    return list(session.scalars(assets.returning(Asset.media_key)))


def _change(session: Session, generation: Generation, state: str, /, **values: object) -> bool:
    """Compare-and-set: write ``values`` if the generation is still in ``state``."""
    result = session.execute(
        update(Generation)
        .where(Generation.id == generation.id, Generation.state == state)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return changed(result) > 0
