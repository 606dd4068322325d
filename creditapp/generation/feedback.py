"""Feedback of an owner: favourites, and reports that something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.errors import NotFound, ValidationFailed
from creditapp.generation import queries
from creditapp.generation.funding import Caller
from creditapp.generation.gallery import ASSET_ID, visible
from creditapp.generation.models import Asset, Generation
from creditapp.generation.orders import holds_controls

REPORT_CHARACTERS_MAX = 500


def star(
    session: Session, asset_ids: Sequence[str], by: Caller, *, starred: bool, now: datetime
) -> int:
    """Add the caller's own assets to the favourites or remove them; return how many.

    Raises ``NotFound`` if none of the ids is one of the caller's assets.
    """
    ids = [each for each in asset_ids if ASSET_ID.fullmatch(each)]
    change = update(Asset).where(Asset.id.in_(ids), *visible(by))
    result = session.connection().execute(change.values(starred_at=now if starred else None))
    if not result.rowcount:
        raise NotFound("There is no such image here.")
    return result.rowcount


def report(session: Session, generation_id: str, by: Caller, text: str, *, now: datetime) -> None:
    """Store the caller's report about a generation for the operator; a later one replaces it.

    Raises ``NotFound`` for a generation of others, and ``ValidationFailed`` for a text that is
    empty, too long, or holds control characters.
    """
    report_text = " ".join(text.split())
    if not report_text or len(report_text) > REPORT_CHARACTERS_MAX:
        raise ValidationFailed.of(
            "report", f"Say what is wrong, in at most {REPORT_CHARACTERS_MAX} letters."
        )
    if holds_controls(report_text):
        raise ValidationFailed.of("report", "The report holds control characters; remove them.")
    generation = queries.find(session, generation_id, by).generation
    generation.reported_at, generation.report_text = now, report_text


def reported(session: Session, limit: int = 50) -> list[Generation]:
    """Return the reported generations, the latest first, for the operator."""
    return list(
        session.scalars(
            select(Generation)
            .where(Generation.reported_at.is_not(None))
            .order_by(Generation.reported_at.desc())
            .limit(limit)
        )
    )
