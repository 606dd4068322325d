"""What its owner says of a finished picture: that it is a favourite, or that something is wrong."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.clock import now
from creditapp.errors import ValidationFailed
from creditapp.generation import submit
from creditapp.generation.funding import Caller
from creditapp.generation.models import Generation
from creditapp.generation.orders import holds_controls

REPORT_CHARACTERS_MAX = 500


def star(session: Session, generation_id: str, by: Caller, *, starred: bool) -> None:
    """Make the caller's own generation a favourite, or no longer; ``NotFound`` for another's."""
    found = submit.find(session, generation_id, by).generation
    session.execute(
        update(Generation)
        .where(Generation.id == found.id)
        .values(starred_at=now() if starred else None)
        .execution_options(synchronize_session=False)
    )


def report(session: Session, generation_id: str, by: Caller, text: str) -> None:
    """Tell the operator what is wrong with the caller's own generation; the latest words count.

    Raises ``NotFound`` for another's, and ``ValidationFailed`` for nothing said, too much, or what
    no text holds.
    """
    words = " ".join(text.split())
    if not words or len(words) > REPORT_CHARACTERS_MAX:
        raise ValidationFailed.of(
            "report", f"Say what is wrong, in at most {REPORT_CHARACTERS_MAX} letters."
        )
    if holds_controls(words):
        raise ValidationFailed.of("report", "The report holds control characters; remove them.")
    found = submit.find(session, generation_id, by).generation
    session.execute(
        update(Generation)
        .where(Generation.id == found.id)
        .values(reported_at=now(), report_text=words)
        .execution_options(synchronize_session=False)
    )


def reported(session: Session, limit: int = 50) -> list[Generation]:
    """Return what was reported, the latest first, for the operator."""
    return list(
        session.scalars(
            select(Generation)
            .where(Generation.reported_at.is_not(None))
            .order_by(Generation.reported_at.desc())
            .limit(limit)
        )
    )
