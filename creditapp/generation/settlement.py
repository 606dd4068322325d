"""Settlement: end a generation once, capture the price of what was delivered, release the rest."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from creditapp import guests, ledger
from creditapp.catalog import Catalog, Quote, versions
from creditapp.db import transaction, update_if
from creditapp.generation import funding
from creditapp.generation.models import Asset, Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import ProviderError
from creditapp.logs import error_fields
from creditapp.media import Media
from creditapp.services import get

RETRY_SECONDS = (0.2, 1.0, 3.0)
"""Pauses between attempts to settle while the database fails; then recovery takes over."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class NewAsset:
    """A delivered file in the media store: the values of an ``Asset`` row that settling inserts."""

    id: str
    generation_id: str
    position: int
    media_key: str
    mime_type: str
    width: int | None
    height: int | None
    milliseconds: int | None
    created_at: datetime
    thumbnail_key: str | None = None


@dataclass
class Delivery:
    """Files and cost that the provider has delivered so far, not yet settled."""

    assets: list[NewAsset] = field(default_factory=list)
    cost_micros_usd: int | None = None
    error: ProviderError | None = None

    def add_cost(self, cost_micros_usd: int | None) -> None:
        """Add the vendor's price of one file; an unknown one adds nothing."""
        if cost_micros_usd is not None:
            self.cost_micros_usd = (self.cost_micros_usd or 0) + cost_micros_usd


def settle(
    generation_id: str, attempt: int, delivery: Delivery, *, now: datetime, canceled: bool = False
) -> bool:
    """End this attempt; return whether this call did it. Owns its transactions.

    Retries for some seconds while the database fails. When another worker had ended the attempt,
    the files that no row names are removed.
    """
    conditions = (Generation.attempt == attempt,)
    for pause in (*RETRY_SECONDS, None):
        try:
            return _settle(generation_id, delivery, canceled, conditions, now)
        except SQLAlchemyError as error:
            # Also when only the commit's answer was lost: the next try reads the outcome.
            log.warning("not settled", generation=generation_id, **error_fields(error))
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def settle_lapsed(generation: Generation, error: ProviderError, *, now: datetime) -> bool:
    """End what a dead worker left, unless the lease has changed since ``generation`` was read."""
    conditions = (
        Generation.attempt == generation.attempt,
        Generation.lease_until == generation.lease_until,
    )
    canceled = generation.cancel_requested_at is not None
    delivery = Delivery(error=None if canceled else error)
    return _settle(generation.id, delivery, canceled, conditions, now)


def discard(assets: Iterable[NewAsset]) -> None:
    """Remove files that no row will name."""
    for asset in assets:
        for key in filter(None, (asset.media_key, asset.thumbnail_key)):
            get(Media).delete(key)


def charge_micro(catalog: Catalog, generation: Generation, assets: list[NewAsset]) -> int:
    """Return the price of the delivered ``assets``, from the quote that the generation pinned.

    ``catalog`` is the version that it pinned.
    """
    quote = Quote(
        operation=generation.operation,
        model=generation.model,
        model_name=generation.model_name,
        cost_micro=generation.quoted_micro,
        unit_micro=generation.quoted_micro // generation.quoted_units,
        units=generation.quoted_units,
        sentence="",
        lines=(),
        estimated=False,
        version=generation.catalog_version,
    )
    return OPERATIONS[generation.operation].charge_micro(catalog, quote, assets)


def _settle(
    generation_id: str,
    delivery: Delivery,
    canceled: bool,
    conditions: tuple[ColumnElement[bool], ...],
    now: datetime,
) -> bool:
    count, error = len(delivery.assets), delivery.error
    with transaction() as session:
        generation = session.get_one(Generation, generation_id)
        ended = update_if(
            session,
            generation,
            Generation.state == "running",
            *conditions,
            state="succeeded" if count else ("canceled" if canceled else "failed"),
            finished_at=now,
            delivered=count,
            progress=100,
            provider_cost_micros_usd=delivery.cost_micros_usd,
            error_code=error.code if error else None,
            error_text=str(error)[:240] if error else None,
            lease_until=None,
        )
        orphans = [] if ended else _without_row(session, delivery.assets)
        if ended:
            _post(session, generation, delivery.assets, now)
    discard(orphans)
    return ended


def _post(session: Session, generation: Generation, assets: list[NewAsset], now: datetime) -> None:
    """Insert the assets, capture their price or keep the guest's claim; release the rest."""
    if not assets:
        funding.release(session, generation, now)
        return
    # A guest may have opened an account since the row was read; it is locked by now.
    session.refresh(generation, ["owner_kind", "owner_id"])
    copied = {name: getattr(generation, name) for name in Asset.COPIED}
    session.execute(insert(Asset), [asdict(asset) | copied for asset in assets])
    if generation.funding == "guest" and generation.claim_id:
        guests.keep(session, generation.claim_id)
    if generation.charge_id is not None:
        captured_micro = charge_micro(_pinned_catalog(session, generation), generation, assets)
        unit = OPERATIONS[generation.operation].unit
        partial = f"{generation.model_name}, {len(assets)} of {generation.n} {unit}"
        ledger.capture(
            session.connection(),
            generation.charge_id,
            captured_micro,
            now=now,
            note=partial if len(assets) < generation.n else None,
        )
        generation.charged_micro = captured_micro


def _pinned_catalog(session: Session, generation: Generation) -> Catalog:
    """Return the catalog that priced the order; the current one if that version is not stored."""
    catalog = get(Catalog)
    if catalog.version == generation.catalog_version:
        return catalog
    return versions.pinned(session, generation.catalog_version) or catalog


def _without_row(session: Session, assets: list[NewAsset]) -> list[NewAsset]:
    """Return the assets without a row: all, unless only the commit's answer had been lost."""
    ids = [asset.id for asset in assets]
    known = set(session.scalars(select(Asset.id).where(Asset.id.in_(ids)))) if ids else set()
    return [asset for asset in assets if asset.id not in known]
