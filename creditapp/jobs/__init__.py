"""Work that outlives its request: four functions in front of DBOS, which only this module imports.

``handler(name)(fn)`` says what to do, ``enqueue(name, id)`` asks for it, ``every(name, cron)`` asks
again and again, and ``run(stop)`` or ``start(app)`` does it. A job is the name of a handler and the
id of a row of ours, never a prompt, a key or an amount: the jobs' own tables hold nothing that has
to be kept secret or erased.

What is promised:

* A job runs **at least once**, in an app context, in a thread, and after a crash again. A handler
  therefore compares-and-sets its own row and does nothing when it comes second.
* ``enqueue`` is idempotent by (name, id), also after the job has finished: to run a handler again
  for the same row, pass an id that differs (``f"{row.id}.{row.version}"``).
* A handler that raises is tried again after each of its ``retry_seconds``; after the last of them,
  or when it has taken more than ``KILLS_MAX`` workers with it, it is a dead letter in ``health()``.
* Every handler is a workflow of one single step, so its one row in DBOS's tables is its record.
* ``enqueue`` stands after the commit of the row it names. If it is lost in between, or the jobs'
  store cannot be reached, nothing is raised: the sweep over our own rows finds the row.

The store is ``<data_dir>/jobs.sqlite`` beside SQLite, or the schema ``dbos`` of the PostgreSQL
database. Who is alive and whose jobs must be taken over is in ``executors.py``.
"""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from creditapp import clock
from creditapp.jobs.engine import JobStore, Worker
from creditapp.jobs.records import DeadLetter
from creditapp.jobs.registry import every, handler, handlers
from creditapp.services import get, provide

__all__ = [
    "DeadLetter",
    "Health",
    "connect",
    "dead_letters",
    "enqueue",
    "every",
    "handler",
    "health",
    "init_app",
    "run",
    "start",
    "stop",
]

_SILENT_AFTER = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


def enqueue(
    name: str, row_id: str, after: datetime | timedelta | None = None, lane: str | None = None
) -> bool:
    """Ask for ``name`` to be run for the row ``id``, now or ``after``; idempotent by (name, id).

    ``lane`` is ``"<provider>/<user>"`` or just a user: at most ``PER_USER`` jobs of a lane and
    ``PER_PROVIDER`` of a provider run at once. Returns whether the store has the job; it never
    raises for a store that cannot be reached, because the caller's row is committed already.
    Raises ``KeyError`` for a name without a handler and ``ValueError`` for what is no lane: these
    are mistakes in the code.
    """
    if name not in handlers:
        raise KeyError(f"no handler is called {name!r}")
    if isinstance(after, datetime):
        after = after - clock.now()
    store = get(JobStore)
    try:
        store.put(name, row_id, lane=lane, seconds=after.total_seconds() if after else 0.0)
    except SQLAlchemyError as error:
        _log.warning("job not stored", job=name, id=row_id, error=type(error).__name__)
        return False
    return True


@dataclass(frozen=True)
class Health:
    """How the jobs are, for ``/readyz``, ``/metrics`` and the operator's page."""

    alive: bool
    """Whether a worker process, here or elsewhere, was heard of in the last ten seconds."""
    workers: int
    last_beat: datetime | None
    waiting: int
    running: int
    lag_seconds: float
    """How long the oldest job that could run has waited."""
    dead_letters: int


_UNREACHABLE = Health(False, 0, None, 0, 0, 0.0, 0)


def health() -> Health:
    """Return how the jobs of the current app's store are, whoever runs them; never raises."""
    store = get(JobStore)
    try:
        living = store.roll.living()
        backlog = store.records.backlog()
    except SQLAlchemyError as error:
        _log.warning("jobs' store not reached", error=type(error).__name__)
        return _UNREACHABLE
    last_beat = max((worker.beat_at for worker in living), default=None)
    return Health(
        alive=last_beat is not None and datetime.now(UTC) - last_beat < _SILENT_AFTER,
        workers=len(living),
        last_beat=last_beat,
        waiting=backlog.waiting,
        running=backlog.running,
        lag_seconds=backlog.lag_seconds,
        dead_letters=backlog.dead_letters,
    )


def dead_letters(limit: int = 50) -> list[DeadLetter]:
    """Return the jobs that were given up, the latest first."""
    return get(JobStore).records.dead_letters(limit)


def init_app(app: Flask, database_url: str, data_dir: Path) -> None:
    """Tell ``app`` where its jobs are kept. Opens nothing and imports nothing heavy."""
    provide(app, JobStore, JobStore(app, database_url, data_dir))


def connect(app: Flask) -> None:
    """Open the store in a thread, for a process that asks for jobs and runs none.

    Without this the first page that asks for a job pays for importing DBOS.
    """
    with app.app_context():
        store = get(JobStore)
    threading.Thread(target=_open_quietly, args=(store,), name="jobs-connect", daemon=True).start()


def _open_quietly(store: JobStore) -> None:
    try:
        store.client()
    except Exception as error:
        _log.warning("jobs' store not opened", error=type(error).__name__)


_worker: Worker | None = None
_worker_lock = threading.Lock()


def start(app: Flask) -> None:
    """Run the jobs of ``app``, which ``init_app`` knows, in this process beside its pages.

    Returns at once: a thread imports DBOS (a third of a second) while the first pages are served.
    DBOS allows one such app in a process.
    """
    global _worker
    with _worker_lock:
        if _worker is not None:
            raise RuntimeError("the jobs of an app run in this process already")
        with app.app_context():
            _worker = Worker(get(JobStore))
        _worker.begin()
    atexit.register(stop, 0)


def stop(grace_seconds: int = 5) -> None:
    """Take no more jobs and wait a little for the running ones; another worker does the rest."""
    global _worker
    with _worker_lock:
        worker, _worker = _worker, None
    if worker is not None:
        atexit.unregister(stop)
        worker.end(grace_seconds)


def run(stop_wanted: threading.Event) -> None:
    """Run the current app's jobs until ``stop_wanted`` is set: what ``./run worker`` does."""
    start(get(JobStore).app)
    stop_wanted.wait()
    stop()


@every("jobs.prune", "41 * * * *")
def _prune() -> None:
    get(JobStore).prune()
