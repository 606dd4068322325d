"""Recovery: a sweep over our own rows, every other second, so that every generation ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import or_, select, update

from creditapp import jobs
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import snapshot, transaction, update_if
from creditapp.generation import partial_images
from creditapp.generation.leases import RENEW_SECONDS
from creditapp.generation.models import Generation
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import GenerationFailed, Providers, Route
from creditapp.generation.settlement import settle_lapsed
from creditapp.generation.worker import JOB, enqueue, job_id
from creditapp.logs import error_fields
from creditapp.services import get

QUEUED_SECONDS_MAX = 20
"""A generation queued for longer is enqueued again: its first job may have been lost."""
QUEUED_SECONDS_LONG = 900
"""Queued for longer than this, its job is taken for dead and gets a successor."""
ATTEMPTS_MAX = 3
"""How often a repeatable provider is called for a generation whose workers died."""
STOPPED: Final = "The server stopped while this was being made."
BATCH = 200
WATCH_SECONDS: Final = 2 * RENEW_SECONDS
"""How long a lapsed lease is watched: a live worker renews it every second."""

log = structlog.get_logger(__name__)


def sweep() -> None:
    """Enqueue what no worker picked up; end or repeat what a dead worker left."""
    moment = now()
    partial_images.sweep(now=moment)
    waiting = []
    overdue = _find_overdue(moment)
    queued = [generation for generation in overdue if generation.state == "queued"]
    running = [generation for generation in overdue if generation.state == "running"]
    dead = jobs.dead_letters(JOB, [job_id(generation) for generation in queued])
    for generation in [*queued, *_abandoned(running)]:
        try:
            if generation.state == "running":
                _recover(generation)
            elif job_id(generation) in dead:
                # Its job raised or killed its worker each time before the provider was called.
                log.error("generation given up", generation=generation.id)
                settle_lapsed(generation, GenerationFailed(STOPPED), now=now())
            elif moment - generation.created_at > _queued_max(generation):
                _queue_next_attempt(generation)
            else:
                enqueue(generation)  # the same job: idempotent where it is still waiting
                waiting.append(generation.id)
        except Exception as error:
            # One row that cannot be recovered must not keep the others from it.
            log.error("not swept", generation=generation.id, **error_fields(error))
    if waiting:
        _look_again_later(waiting, moment)


def _find_overdue(moment: datetime) -> list[Generation]:
    """Return the open generations that are past their lease or queued for too long.

    For a queued one ``lease_until`` is the time of the next look.
    """
    since = moment - timedelta(seconds=QUEUED_SECONDS_MAX)
    with snapshot() as session:
        return list(
            session.scalars(
                select(Generation)
                .where(
                    Generation.state.in_(("queued", "running")),
                    or_(
                        Generation.lease_until < moment,
                        Generation.lease_until.is_(None) & (Generation.created_at < since),
                    ),
                )
                .order_by(Generation.created_at)
                .limit(BATCH)
            )
        )


def _abandoned(lapsed: Sequence[Generation]) -> list[Generation]:
    """Return those whose lease was not renewed while they were watched.

    A lapsed lease alone proves nothing: the clocks of two hosts may differ, a machine may have
    slept, the database been away, or a demo's time been moved on while the worker lives.
    """
    if not lapsed:
        return []
    time.sleep(WATCH_SECONDS)
    seen = {row.id: (row.attempt, row.lease_until) for row in lapsed}
    with snapshot() as session:
        rows = session.scalars(
            select(Generation).where(Generation.id.in_(seen), Generation.state == "running")
        ).all()
    return [row for row in rows if (row.attempt, row.lease_until) == seen[row.id]]


def _recover(generation: Generation) -> None:
    """End the generation with what was delivered; one without any may get another attempt.

    After a delivery there is none: its files would be made, and charged by the vendor, once more.
    """
    retryable = (
        generation.delivered == 0
        and generation.cancel_requested_at is None
        and generation.attempt < ATTEMPTS_MAX
    )
    if retryable and (generation.provider_job or _is_repeatable(generation)):
        _queue_next_attempt(generation)
    else:
        settle_lapsed(generation, GenerationFailed(STOPPED), now=now())


def _queue_next_attempt(generation: Generation) -> None:
    """Compare-and-set another attempt, if the row is still as the sweep read it; enqueue it."""
    with transaction() as session:
        is_queued = update_if(
            session,
            generation,
            Generation.state == generation.state,
            Generation.attempt == generation.attempt,
            # Compared with None, it is IS NULL.
            Generation.lease_until == generation.lease_until,
            # A queued one may be canceled without a charge, so it has delivered nothing.
            Generation.delivered == 0,
            state="queued",
            attempt=generation.attempt + 1,
            provider_started_at=None,
            lease_until=now() + timedelta(seconds=QUEUED_SECONDS_MAX),
        )
    if is_queued:
        enqueue(generation)


def _look_again_later(ids: list[str], moment: datetime) -> None:
    with transaction() as session:
        session.execute(
            update(Generation)
            .where(Generation.id.in_(ids), Generation.state == "queued")
            .values(lease_until=moment + timedelta(seconds=QUEUED_SECONDS_MAX))
            .execution_options(synchronize_session=False)
        )


def _queued_max(generation: Generation) -> timedelta:
    return timedelta(seconds=QUEUED_SECONDS_LONG * generation.attempt)


def _is_repeatable(generation: Generation) -> bool:
    operation = OPERATIONS.get(generation.operation)
    served = operation.served_by(get(Catalog), generation.model) if operation else None
    route = get(Providers).find(served) if served else None
    # Another route than that of the order says nothing: an own key's never leads to a preview.
    return isinstance(route, Route) and route.name == generation.provider and route.repeatable
