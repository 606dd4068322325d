"""Cancel a generation, or delete one that has ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from creditapp.accounts.throttle import count_try, counter
from creditapp.config import Settings
from creditapp.db import transaction, update_if
from creditapp.errors import Conflict, NotFound
from creditapp.generation import funding, queries
from creditapp.generation.funding import Caller
from creditapp.generation.models import Asset, Generation
from creditapp.media import Media
from creditapp.rate_limits import CANCELED_ORDERS
from creditapp.services import get


def cancel(generation_id: str, by: Caller, *, now: datetime) -> None:
    """Cancel a queued generation at once; ask the worker of a running one to stop.

    Assets that a running one has delivered by then are kept and paid for; the rest is released.
    Owns its transaction. Raises ``Conflict`` when it has already ended, and ``RateLimited`` for
    someone who cancels many: then it goes on.
    """
    secret = get(Settings).derived_key("orders")
    limit = counter("cancel", CANCELED_ORDERS, secret, *by.owner)
    with transaction() as session:
        generation = queries.find(session, generation_id, by).generation
        if not generation.finished:
            detail = "You canceled many orders, so this one goes on."
            count_try(session, [limit], now=now, detail=detail)
        is_queued, is_running = Generation.state == "queued", Generation.state == "running"
        if update_if(session, generation, is_queued, state="canceled", finished_at=now):
            funding.release(session, generation, now)
        elif not update_if(session, generation, is_running, cancel_requested_at=now):
            raise Conflict("It has already ended.")


def delete(generation_id: str, by: Caller, *, now: datetime) -> None:
    """Delete an ended generation with its files; raise ``Conflict`` for one that has not ended.

    Owns its transaction. The files go after the commit: a file without a row is waste, while a row
    without its file would be a broken image.
    """
    with transaction() as session:
        generation = queries.find(session, generation_id, by).generation
        media_keys = _delete_rows(session, generation, now)
    for media_key in media_keys:
        get(Media).delete(media_key)


def _delete_rows(session: Session, generation: Generation, now: datetime) -> list[str]:
    """Delete the assets, hide the generation with its prompt erased; return the media keys."""
    if not generation.finished:
        raise Conflict("It is still being made. Cancel it first.")
    not_deleted = Generation.deleted_at.is_(None)
    if not update_if(session, generation, not_deleted, deleted_at=now, prompt=""):
        raise NotFound("There is no such image here.")
    assets = sql_delete(Asset).where(Asset.generation_id == generation.id)
    return list(session.scalars(assets.returning(Asset.media_key)))
