"""Settlement: end a generation once, capture the price of what was delivered, release the rest.

The delivered files are rows already. Every file that has a row is charged, once: by the worker that
delivered it, or by recovery when that worker died.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from creditapp import guests, ledger
from creditapp.catalog import Catalog, Quote, versions
from creditapp.db import transaction, update_if
from creditapp.generation import funding, notifications
from creditapp.generation.delivery import add_cost, persist
from creditapp.generation.models import Asset, Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.operations.operation import Delivered
from creditapp.generation.providers import ProviderError
from creditapp.services import get


def settle(
    generation_id: str,
    attempt: int,
    error: ProviderError | None,
    *,
    now: datetime,
    canceled: bool = False,
) -> bool:
    """End this attempt, charged for what it delivered; return whether this call did it.

    ``error`` is why no more was delivered. Owns its transactions and retries for some seconds while
    the database fails; a second try after a commit whose answer was lost finds the attempt ended.
    """
    conditions = (Generation.state == "running", Generation.attempt == attempt)
    return persist(lambda: _settle(generation_id, error, canceled, conditions, now), generation_id)


def settle_lapsed(generation: Generation, error: ProviderError, *, now: datetime) -> bool:
    """End what no worker will, unless the row has changed since ``generation`` was read."""
    conditions = (
        Generation.state == generation.state,
        Generation.attempt == generation.attempt,
        Generation.lease_until == generation.lease_until,
        Generation.delivered == generation.delivered,
    )
    canceled = generation.cancel_requested_at is not None
    reason = None if canceled or generation.delivered == generation.n else error
    return _settle(generation.id, reason, canceled, conditions, now)


def charge_micro(catalog: Catalog, generation: Generation, assets: Sequence[Delivered]) -> int:
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
    error: ProviderError | None,
    canceled: bool,
    conditions: tuple[ColumnElement[bool], ...],
    now: datetime,
) -> bool:
    with transaction() as session:
        generation = session.get_one(Generation, generation_id)
        ended = update_if(
            session,
            generation,
            Generation.delivered == generation.delivered,
            *conditions,
            state="succeeded" if generation.delivered else ("canceled" if canceled else "failed"),
            finished_at=now,
            progress=100,
            provider_cost_micros_usd=add_cost(
                generation.provider_cost_micros_usd,
                error.provider_cost_micros_usd if error else None,
            ),
            error_code=error.code if error else None,
            error_text=str(error)[:240] if error else None,
            lease_until=None,
            encrypted_key=None,
        )
        if ended:
            _post(session, generation, now)
            notifications.queue_webhook(session, generation, now=now)
    return ended


def _post(session: Session, generation: Generation, now: datetime) -> None:
    """Capture the price of the delivered files or keep the guest's claim; release the rest."""
    query = select(Asset).where(Asset.generation_id == generation.id).order_by(Asset.position)
    assets = session.scalars(query).all()
    if not assets:
        funding.release(session, generation, now)
        return
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
