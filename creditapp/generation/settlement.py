"""The end of a generation, once: what was delivered is charged and kept, the rest returns."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp import guests, ledger
from creditapp.clock import now
from creditapp.db import changed, transaction
from creditapp.generation import funding
from creditapp.generation.models import Asset, Generation
from creditapp.generation.providers import ProviderError
from creditapp.media import Media
from creditapp.services import get
from creditapp.units import divide_up

RETRY_SECONDS = (0.2, 1.0, 3.0)
"""How long settling waits for a database that fails, before it leaves the end to the sweep."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Piece:
    """A file that was delivered and stored: the row of an asset that is not yet written."""

    id: str
    generation_id: str
    position: int
    media_key: str
    mime_type: str
    width: int
    height: int
    created_at: datetime


@dataclass
class Delivery:
    """What the provider has delivered so far, stored as files and not yet settled."""

    pieces: list[Piece] = field(default_factory=list)
    cost_micro_usd: int | None = None
    refusal: ProviderError | None = None

    def add_cost(self, cost_micro_usd: int | None) -> None:
        """Count what the vendor charges us; what is not known counts nothing."""
        if cost_micro_usd is not None:
            self.cost_micro_usd = (self.cost_micro_usd or 0) + cost_micro_usd


def settle(generation_id: str, attempt: int, delivery: Delivery, *, canceled: bool = False) -> bool:
    """End this attempt and return whether it was this call that did.

    A database that fails is tried again for some seconds. Files that the row does not know in the
    end are removed: somebody else had ended the attempt, so nobody would ever see them.
    """
    mine = (Generation.attempt == attempt,)
    for pause in (*RETRY_SECONDS, None):
        try:
            return _settle(generation_id, delivery, canceled, mine)
        except SQLAlchemyError as error:
            # Also when the commit's own answer was lost: the next try then sees what became of it.
            log.warning("not settled", generation=generation_id, error_type=type(error).__name__)
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def settle_lapsed(generation: Generation, refusal: ProviderError) -> bool:
    """End what a dead worker left, unless it lives: its lease must be as it was seen."""
    seen = (
        Generation.attempt == generation.attempt,
        Generation.lease_until == generation.lease_until,
    )
    canceled = generation.cancel_requested_at is not None
    delivery = Delivery(refusal=None if canceled else refusal)
    return _settle(generation.id, delivery, canceled, seen)


def discard(pieces: Iterable[Piece]) -> None:
    """Remove files that no row will ever name."""
    for piece in pieces:
        get(Media).delete(piece.media_key)


def _settle(
    generation_id: str,
    delivery: Delivery,
    canceled: bool,
    conditions: tuple[ColumnElement[bool], ...],
) -> bool:
    moment, count, refusal = now(), len(delivery.pieces), delivery.refusal
    with transaction() as session:
        ended = changed(
            session.execute(
                update(Generation)
                .where(Generation.id == generation_id, Generation.state == "running", *conditions)
                .values(
                    state="succeeded" if count else ("canceled" if canceled else "failed"),
                    finished_at=moment,
                    delivered=count,
                    progress=100,
                    provider_cost_micros_usd=delivery.cost_micro_usd,
                    error_code=refusal.code if refusal else None,
                    error_text=str(refusal)[:240] if refusal else None,
                    lease_until=None,
                )
                .execution_options(synchronize_session=False)
            )
        )
        unwanted = [] if ended else _unknown(session, delivery.pieces)
        if ended:
            _write_down(session, generation_id, delivery.pieces, moment)
    discard(unwanted)
    return ended > 0


def _write_down(
    session: Session, generation_id: str, pieces: list[Piece], moment: datetime
) -> None:
    generation = session.get_one(Generation, generation_id)
    if not pieces:
        funding.give_back(session, generation, moment)
        return
    session.execute(insert(Asset), [asdict(piece) for piece in pieces])
    if generation.funding == "guest" and generation.claim_id:
        guests.keep(session, generation.claim_id)
    if generation.charge_id is not None:
        # The quote is for n equal images, so a share of it is exact; what is kept is rounded up
        # and the rest of the hold returns, so that the parts add up.
        kept_micro = divide_up(generation.quoted_micro * len(pieces), generation.n)
        some = f"{generation.model_name}, {len(pieces)} of {generation.n} images"
        ledger.capture(
            session.connection(),
            generation.charge_id,
            kept_micro,
            now=moment,
            note=some if len(pieces) < generation.n else None,
        )
        generation.charged_micro = kept_micro


def _unknown(session: Session, pieces: list[Piece]) -> list[Piece]:
    """Return the pieces that have no row: all of them, unless our own commit's answer was lost."""
    ids = [piece.id for piece in pieces]
    known = set(session.scalars(select(Asset.id).where(Asset.id.in_(ids)))) if ids else set()
    return [piece for piece in pieces if piece.id not in known]
