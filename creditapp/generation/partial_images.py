"""Partial images: what a provider shows of an image before it is done, for a stream to send on.

They are stored because the worker may be another process than the one that streams. They cost
nothing, and are deleted when the stream has ended, or by the sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp.db import insert_once, snapshot, transaction
from creditapp.generation.models import Generation, PartialImage
from creditapp.logs import error_fields

KEPT_SECONDS: Final = 30
"""After the end of a generation: a stream reads its last ones after that."""

log = structlog.get_logger(__name__)


def storing(generation: Generation) -> Callable[[bytes, str], None]:
    """Return the function that stores each partial image of an attempt, at most those ordered.

    An image that cannot be stored is not shown, and fails nothing.
    """
    most, positions = ordered(generation) * generation.n, count()

    def store(data: bytes, mime_type: str) -> None:
        position = next(positions)
        if position >= most:
            return
        image = PartialImage(
            generation_id=generation.id, position=position, mime_type=mime_type, data=data
        )
        try:
            with transaction() as session:
                # Another attempt begins with the first again.
                insert_once(session, image, ["generation_id", "position"])
        except SQLAlchemyError as error:
            log.warning("not stored", generation=generation.id, **error_fields(error))

    return store


def ordered(generation: Generation) -> int:
    """Return how many partial images of each image were ordered."""
    return int(generation.parameters.get("partial_images", 0))


def list_from(session: Session, generation_id: str, position: int) -> Sequence[PartialImage]:
    """Return the partial images of a generation from a position on."""
    query = select(PartialImage).where(
        PartialImage.generation_id == generation_id, PartialImage.position >= position
    )
    return session.scalars(query.order_by(PartialImage.position)).all()


def forget(generation_id: str) -> None:
    """Delete the partial images of a generation. Owns its transaction."""
    with transaction() as session:
        session.execute(delete(PartialImage).where(PartialImage.generation_id == generation_id))


def sweep(*, now: datetime) -> None:
    """Delete those of generations that ended a while ago. Owns its transactions."""
    ended = (
        select(PartialImage.generation_id)
        .join(Generation, Generation.id == PartialImage.generation_id)
        .where(Generation.finished_at < now - timedelta(seconds=KEPT_SECONDS))
        .distinct()
    )
    with snapshot() as session:
        generation_ids = session.scalars(ended).all()
    for generation_id in generation_ids:
        forget(generation_id)
