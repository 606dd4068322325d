"""Worker: call the provider once for a generation, deliver each file as it arrives, settle.

No transaction is open during the provider call. A lease shows that the worker is alive; when it
lapses, recovery ends the generation: what was delivered is kept and charged, the rest released,
because the outcome of the call is unknown. Only an attempt that delivered nothing is repeated, and
only for an adapter that declares itself repeatable or a vendor's job that can be polled again.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from creditapp import jobs
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import transaction, update_if
from creditapp.generation import own_keys, partial_images, sources
from creditapp.generation.delivery import deliver
from creditapp.generation.leases import LEASE_SECONDS, Lease
from creditapp.generation.models import Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import (
    GenerationFailed,
    ProviderError,
    Providers,
    ProviderUnavailable,
    Work,
)
from creditapp.generation.settlement import settle
from creditapp.logs import error_fields
from creditapp.media import MediaUnavailable
from creditapp.services import get

JOB = "generate"
"""The name of the job, whose handler is in ``runtime``."""

log = structlog.get_logger(__name__)


def enqueue(generation: Generation) -> None:
    """Queue the work after the commit; idempotent for an attempt."""
    jobs.enqueue(
        JOB,
        job_id(generation),
        partition=f"{generation.provider}/{generation.owner_kind}:{generation.owner_id}",
    )


def job_id(generation: Generation) -> str:
    """Return the id of the job that runs the generation's present attempt."""
    return f"{generation.id}.{generation.attempt}"


def run(job_id: str) -> None:
    """Run one attempt of a generation and settle it; safe to run twice at once."""
    generation_id, _, attempt = job_id.rpartition(".")
    generation = _start(generation_id, int(attempt))
    if generation is None:
        return
    with Lease(generation.id, generation.attempt) as lease:
        error = _produce(generation, lease)
        canceled = lease.stop_requested
        settle(generation.id, generation.attempt, error, now=now(), canceled=canceled)
    own_keys.note_outcome(generation, error, now=now())


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


def _produce(generation: Generation, lease: Lease) -> ProviderError | None:
    """Call the provider and deliver each file as it arrives; return why no more came, if known."""
    operation = OPERATIONS.get(generation.operation)
    if operation is None:
        # Ordered from a newer version of the app, while both run.
        log.error("unknown operation", generation=generation.id, operation=generation.operation)
        return ProviderUnavailable("This server cannot make this yet. Try again later.")
    served = operation.served_by(get(Catalog), generation.model)
    if served is None:
        return ProviderUnavailable("This model has been taken off the catalog.")
    try:
        own_key = own_keys.read_key(generation, served)
        route = get(Providers).require(served, own_key=own_key)
        if generation.provider_job and route.name != generation.provider:
            raise ProviderUnavailable("The provider of this model changed while this was made.")
        request = operation.request(generation, sources.read_files(generation))
        work = Work(
            progress=lease.note_progress,
            should_stop=lease.should_stop,
            is_canceled=lambda: lease.stop_requested,
            note_job=lease.note_provider_job,
            note_partial=partial_images.storing(generation),
            job=generation.provider_job,
        )
        for file in route.make(request, work):
            if (
                not deliver(generation, file, lease.should_stop)
                or generation.delivered == generation.n
            ):
                break
    except ProviderError as error:
        return own_keys.explain(error, generation, served)
    except MediaUnavailable:
        return ProviderUnavailable("The files to start from cannot be read now. Try again later.")
    except Exception as error:
        # An error that no adapter foresaw ends this generation and releases the rest of its hold.
        # The text of a foreign exception may hold the prompt: only its type and place are logged.
        log.error("provider failed", generation=generation.id, **error_fields(error))
        return GenerationFailed("The model failed in a way that we did not foresee.")
    if not generation.delivered and not lease.should_stop():
        return GenerationFailed("The model delivered nothing.")
    return None
