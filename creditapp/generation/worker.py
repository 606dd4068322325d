"""Worker: call the provider once for a generation, store what it delivers, settle.

No transaction is open during the provider call. A lease shows that the worker is alive; when it
lapses, recovery fails the generation and releases its hold, because the outcome of the call is
unknown. Only an adapter that declares itself repeatable is called again.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from creditapp import jobs
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import transaction, update_if
from creditapp.generation import provenance, sources, thumbnails
from creditapp.generation.leases import LEASE_SECONDS, Lease
from creditapp.generation.models import Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import (
    GenerationFailed,
    ProducedFile,
    ProviderError,
    Providers,
    ProviderUnavailable,
    Work,
)
from creditapp.generation.settlement import Delivery, NewAsset, discard, settle
from creditapp.ids import new_id
from creditapp.logs import error_fields
from creditapp.media import Media
from creditapp.services import get

log = structlog.get_logger(__name__)


def enqueue(generation: Generation) -> None:
    """Queue the work after the commit; idempotent for an attempt."""
    jobs.enqueue(
        "generate",
        f"{generation.id}.{generation.attempt}",
        partition=f"{generation.provider}/{generation.owner_kind}:{generation.owner_id}",
    )


def run(job_id: str) -> None:
    """Run one attempt of a generation and settle it; safe to run twice at once."""
    generation_id, _, attempt = job_id.rpartition(".")
    generation = _start(generation_id, int(attempt))
    if generation is None:
        return
    delivery = Delivery()
    with Lease(generation.id, generation.attempt) as lease:
        try:
            _produce(generation, delivery, lease)
        except BaseException:
            # The process is stopping. Recovery ends the row, and no row will name these files.
            discard(delivery.assets)
            raise
        canceled = lease.stop_requested
        settle(generation.id, generation.attempt, delivery, now=now(), canceled=canceled)


def _start(generation_id: str, attempt: int) -> Generation | None:
    """Compare-and-set the generation to running; return None when this attempt is not queued."""
    moment = now()
    with transaction() as session:
        generation = session.get(Generation, generation_id)
        is_started = generation is not None and update_if(
            session,
            generation,
            Generation.state == "queued",
            Generation.attempt == attempt,
            Generation.provider_started_at.is_(None),
            state="running",
            provider_started_at=moment,
            lease_until=moment + timedelta(seconds=LEASE_SECONDS),
        )
        return generation if is_started else None


def _produce(generation: Generation, delivery: Delivery, lease: Lease) -> None:
    """Call the provider and store each file as it arrives; every failure becomes ``error``."""
    operation = OPERATIONS.get(generation.operation)
    if operation is None:
        # Ordered from a newer version of the app, while both run.
        log.error("unknown operation", generation=generation.id, operation=generation.operation)
        delivery.error = ProviderUnavailable("This server cannot make this yet. Try again later.")
        return
    served = operation.served_by(get(Catalog), generation.model)
    if served is None:
        delivery.error = ProviderUnavailable("This model has been taken off the catalog.")
        return
    try:
        route = get(Providers).require(served)
        if generation.provider_job and route.name != generation.provider:
            raise ProviderUnavailable("The provider of this model changed while this was made.")
        request = operation.request(generation, sources.read_files(generation))
        work = Work(
            progress=lease.note_progress,
            should_stop=lease.should_stop,
            is_canceled=lambda: lease.stop_requested,
            note_job=lease.note_provider_job,
            job=generation.provider_job,
        )
        for file in route.make(request, work):
            delivery.assets.append(_store(generation, file, len(delivery.assets)))
            delivery.add_cost(file.provider_cost_micros_usd)
            if len(delivery.assets) == generation.n:
                break
    except ProviderError as error:
        delivery.error = error
        delivery.add_cost(error.provider_cost_micros_usd)
    except Exception as error:
        # An error that no adapter foresaw fails this generation and releases the hold. The text of
        # a foreign exception may hold the prompt, so only its type and place are logged.
        log.error("provider failed", generation=generation.id, **error_fields(error))
        delivery.error = GenerationFailed("The model failed in a way that we did not foresee.")
    if not delivery.assets and delivery.error is None and not lease.should_stop():
        delivery.error = GenerationFailed("The model delivered nothing.")


def _store(generation: Generation, file: ProducedFile, position: int) -> NewAsset:
    return NewAsset(
        id=new_id("ast"),
        generation_id=generation.id,
        position=position,
        media_key=get(Media).store(provenance.with_mark(file.data, file.mime_type), file.mime_type),
        thumbnail_key=thumbnails.store(file.data, file.mime_type),
        mime_type=file.mime_type,
        width=file.width,
        height=file.height,
        milliseconds=file.milliseconds,
        created_at=now(),
    )
