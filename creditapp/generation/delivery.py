"""Delivery: store a file as the provider yields it, and insert its row at once.

The row, the count on the generation and the vendor's cost are one transaction, which only a running
attempt may commit. So the owner sees each file as it arrives, and settling charges for what was
delivered whatever happens to the worker in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp.clock import now
from creditapp.db import transaction, update_if
from creditapp.generation import provenance, thumbnails
from creditapp.generation.models import Asset, Generation
from creditapp.generation.providers import GenerationFailed, ProducedFile
from creditapp.generation.signing import Signer
from creditapp.ids import new_id
from creditapp.logs import error_fields
from creditapp.media import Media, MediaUnavailable
from creditapp.services import get

RETRY_SECONDS = (0.2, 1.0, 3.0)
"""Pauses between attempts to write while the database fails; then recovery takes over."""

STORE_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, *[30.0] * 9)
"""Pauses while the store of files fails: five minutes, because the vendor has made the file."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


def deliver(
    generation: Generation, file: ProducedFile, should_stop: Callable[[], bool] = lambda: False
) -> bool:
    """Store one file of a running attempt and insert its row; return whether it was kept.

    Owns its transactions. When the attempt has ended meanwhile, the file is removed and the caller
    stops. ``generation.delivered`` is the number of files so far, this one included. Raises what
    the media store raises, ``GenerationFailed`` when it does not answer for minutes or until
    ``should_stop``, and ``SQLAlchemyError`` when the database fails for seconds: then the
    file stays, because its row may have been committed.
    """
    asset = Asset(
        id=new_id("ast"),
        generation_id=generation.id,
        position=generation.delivered,
        media_key=_store(file, generation, should_stop),
        thumbnail_key=thumbnails.store(file.data, file.mime_type),
        mime_type=file.mime_type,
        width=file.width,
        height=file.height,
        milliseconds=file.milliseconds,
        created_at=now(),
    )
    # Added once, before any try: a failed one has changed the object that it could not store.
    cost = add_cost(generation.provider_cost_micros_usd, file.provider_cost_micros_usd)
    usage = _add_usage(generation.provider_usage, file.usage)
    is_kept = persist(lambda: _insert(generation, asset, cost, usage), generation.id)
    if not is_kept:
        for key in filter(None, (asset.media_key, asset.thumbnail_key)):
            get(Media).delete(key)
    return is_kept


def _store(file: ProducedFile, generation: Generation, should_stop: Callable[[], bool]) -> str:
    """Store the file and return its key; retry for minutes while a bucket does not answer.

    A failed attempt whose answer alone was lost leaves an object that nothing names.
    """
    data = _marked(file, generation)
    for pause in (*STORE_RETRY_SECONDS, None):
        try:
            return get(Media).store(data, file.mime_type)
        except MediaUnavailable as error:
            log.warning("not stored", generation=generation.id, reason=error.reason)
            if pause is None or should_stop():
                break
            time.sleep(pause)
    raise GenerationFailed("It was made, but it could not be stored.", reason="not_stored")


def _marked(file: ProducedFile, generation: Generation) -> bytes:
    """Return the file itself if it has a mark of its origin, else with one, signed if it can be."""
    marked = provenance.with_mark(file.data, file.mime_type)
    if marked is file.data:
        return marked
    # A preview is not made by the model that was chosen.
    model_name = None if generation.preview else generation.model_name
    try:
        return get(Signer).sign(marked, file.mime_type, model_name)
    except Exception as error:
        # Whatever the library raises: a missing signature must not lose what was made.
        log.error("not signed", generation=generation.id, **error_fields(error))
        return marked


def _insert(
    generation: Generation, asset: Asset, cost_micros_usd: int | None, usage: dict[str, int] | None
) -> bool:
    with transaction() as session:
        if not update_if(
            session,
            generation,
            Generation.state == "running",
            Generation.attempt == generation.attempt,
            Generation.delivered == asset.position,
            delivered=asset.position + 1,
            provider_cost_micros_usd=cost_micros_usd,
            provider_usage=usage,
        ):
            # The row exists when only the answer of an earlier commit was lost.
            return _is_stored(session, asset)
        # A guest may have opened an account since the worker began; the row is locked by now.
        query = select(*(getattr(Generation, name) for name in Asset.COPIED))
        values = session.execute(query.where(Generation.id == generation.id)).one()
        for name in Asset.COPIED:
            setattr(asset, name, getattr(values, name))
        session.add(asset)
        return True


def _is_stored(session: Session, asset: Asset) -> bool:
    return session.get(Asset, asset.id) is not None


def add_cost(total_micros_usd: int | None, cost_micros_usd: int | None) -> int | None:
    """Return the vendor's cost with another part of it; an unknown part adds nothing."""
    if cost_micros_usd is None:
        return total_micros_usd
    return (total_micros_usd or 0) + cost_micros_usd


def _add_usage(total: Mapping[str, int] | None, usage: Mapping[str, int]) -> dict[str, int] | None:
    """Return the vendor's tokens with those of another call; None as long as none were counted."""
    if not usage:
        return dict(total) if total is not None else None
    counted = total or {}
    return {name: counted.get(name, 0) + usage.get(name, 0) for name in {*counted, *usage}}


def persist(write: Callable[[], T], generation_id: str) -> T:
    """Return what ``write`` returns; retry for some seconds while the database fails.

    Also when only the commit's answer was lost, so ``write`` must recognise its own effect.
    """
    for pause in RETRY_SECONDS:
        try:
            return write()
        except SQLAlchemyError as error:
            log.warning("not written", generation=generation_id, **error_fields(error))
            time.sleep(pause)
    return write()
