"""What guarantees that every generation ends: a look at our own rows, every other second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import or_, select, update

from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import changed, snapshot, transaction
from creditapp.generation.leases import RENEW_SECONDS
from creditapp.generation.models import Generation
from creditapp.generation.providers import GenerationFailed, Providers, Unavailable
from creditapp.generation.settlement import settle_lapsed
from creditapp.generation.worker import enqueue
from creditapp.services import get

QUEUED_SECONDS_MAX = 20
"""After this long in the queue the sweep enqueues again: the first time may have been lost."""
QUEUED_SECONDS_LONG = 900
"""After this long its entry is taken for dead, and the generation gets a new one."""
ATTEMPTS_MAX = 3
"""How often a repeatable provider is asked before its killed workers are taken as an answer."""
AT_ONCE = 200
WATCH_SECONDS: Final = 2 * RENEW_SECONDS
"""So long a row is watched whose lease is over: a worker that lives writes to it every second."""

log = structlog.get_logger(__name__)


def sweep() -> None:
    """Enqueue what was never picked up, and end what a dead worker left behind."""
    moment = now()
    waiting = []
    noticed = _noticed(moment)
    queued = [each for each in noticed if each.state == "queued"]
    for generation in [*queued, *_dead([each for each in noticed if each.state == "running"])]:
        try:
            if generation.state == "running":
                _mend(generation)
            elif moment - generation.created_at > _long(generation):
                _again(generation)
            else:
                enqueue(generation)  # the same entry: where it is still waiting, nothing happens
                waiting.append(generation.id)
        except Exception as error:
            # One row that cannot be mended must not keep the others from it.
            log.error("not swept", generation=generation.id, error_type=type(error).__name__)
    if waiting:
        _look_again_later(waiting, moment)


def _noticed(moment: datetime) -> list[Generation]:
    """Return what is open and should not be: past its lease, or waiting for too long.

    For what is queued ``lease_until`` is no lease but the moment of the next look.
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
                .limit(AT_ONCE)
            )
        )


def _dead(lapsed: Sequence[Generation]) -> list[Generation]:
    """Return those to which nobody wrote while they were watched.

    That a lease is over is only what two clocks say. They are another host's and ours; a machine
    may have slept, a database have been away, a demo's time been moved on: the worker lives.
    """
    if not lapsed:
        return []
    time.sleep(WATCH_SECONDS)
    seen = {each.id: (each.attempt, each.lease_until) for each in lapsed}
    with snapshot() as session:
        rows = session.scalars(
            select(Generation).where(Generation.id.in_(seen), Generation.state == "running")
        ).all()
    return [row for row in rows if (row.attempt, row.lease_until) == seen[row.id]]


def _mend(generation: Generation) -> None:
    wanted = generation.cancel_requested_at is None and generation.attempt < ATTEMPTS_MAX
    if wanted and _repeatable(generation):
        _again(generation)
    else:
        settle_lapsed(generation, GenerationFailed("The server stopped while this was being made."))


def _again(generation: Generation) -> None:
    """Queue another attempt, if the row still is as the sweep saw it."""
    with transaction() as session:
        taken = session.execute(
            update(Generation)
            .where(
                Generation.id == generation.id,
                Generation.state == generation.state,
                Generation.attempt == generation.attempt,
                Generation.lease_until.is_(None)
                if generation.lease_until is None
                else Generation.lease_until == generation.lease_until,
            )
            .values(
                state="queued",
                attempt=generation.attempt + 1,
                provider_started_at=None,
                lease_until=now() + timedelta(seconds=QUEUED_SECONDS_MAX),
            )
            .execution_options(synchronize_session=False)
        )
        if changed(taken) == 0:
            return
    generation.attempt += 1
    enqueue(generation)


def _look_again_later(ids: list[str], moment: datetime) -> None:
    with transaction() as session:
        session.execute(
            update(Generation)
            .where(Generation.id.in_(ids), Generation.state == "queued")
            .values(lease_until=moment + timedelta(seconds=QUEUED_SECONDS_MAX))
            .execution_options(synchronize_session=False)
        )


def _long(generation: Generation) -> timedelta:
    return timedelta(seconds=QUEUED_SECONDS_LONG * generation.attempt)


def _repeatable(generation: Generation) -> bool:
    model = get(Catalog).model(generation.model)
    if model is None:
        return False
    provider = get(Providers).find(model)
    return not isinstance(provider, Unavailable) and provider.repeatable
