"""Background jobs: four functions in front of DBOS, which only this package imports.

``handler(name)(fn)`` registers a function, ``enqueue(name, id)`` asks for it to run,
``every(name, cron)`` schedules it, and ``run(stop)`` or ``start(app)`` runs the jobs. A job is the
name of a handler and the id of one of our rows, never a prompt, a key or an amount: the job tables
hold nothing that must be kept secret or erased.

Guarantees:

* A job runs **at least once**, in an app context, in a thread, and again after a crash. A handler
  therefore compares-and-sets its own row and does nothing when another run came first.
* ``enqueue`` is idempotent by (name, id), also after the job has finished: to run a handler again
  for the same row, pass a different id (``f"{row.id}.{row.version}"``).
* A handler that raises is retried after each of its ``retry_seconds``; after the last of them,
  or when more than ``KILLS_MAX`` workers crashed on it, it is a dead letter in ``health()``;
  ``dead_letters`` tells a sweep which rows no job will run for.
* Every handler is a workflow of a single step, so its one row in DBOS's tables is its record.
* Call ``enqueue`` after the commit of the row it names. If it is lost in between, or the store
  cannot be reached, nothing is raised: the sweep over our own rows finds the row.

The store is ``<data_dir>/jobs.sqlite`` beside SQLite, or the schema ``dbos`` of the PostgreSQL
database. ``worker_registry.py`` knows which workers are alive.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from creditapp.jobs.engine import JobStore, Worker
from creditapp.jobs.registry import every, handler, handlers
from creditapp.logs import error_fields
from creditapp.services import get, provide

_SILENT_AFTER = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


def enqueue(
    name: str, row_id: str, after: timedelta = timedelta(0), partition: str | None = None
) -> bool:
    """Enqueue the job ``name`` for the row ``row_id``, to run now or ``after`` a while.

    Idempotent by (name, id). ``partition`` is ``"<provider>/<user>"`` or just a user: at most
    ``PER_USER`` jobs of a partition and ``PER_PROVIDER`` of a provider run at once. Returns whether
    the job is stored; it never raises for a store that cannot be reached, because the caller's row
    is committed already. Raises ``KeyError`` for a name without a handler and ``ValueError`` for
    an invalid partition: these are mistakes in the code.
    """
    if name not in handlers:
        raise KeyError(f"no handler is called {name!r}")
    store = get(JobStore)
    try:
        store.enqueue(name, row_id, partition=partition, delay_seconds=after.total_seconds())
    except SQLAlchemyError as error:
        _log.warning("job not stored", job=name, id=row_id, **error_fields(error))
        return False
    return True


def dead_letters(name: str, row_ids: Collection[str]) -> set[str]:
    """Return which of these rows' jobs ``name`` failed for good; none where the store is away."""
    try:
        return get(JobStore).dead_letters(name, row_ids)
    except SQLAlchemyError as error:
        _log.warning("job store not reached", **error_fields(error))
        return set()


@dataclass(frozen=True)
class Health:
    """State of the jobs, for ``/readyz``, ``/metrics`` and the operator's page."""

    alive: bool
    """Whether any worker process sent a heartbeat in the last ten seconds."""
    workers: int
    last_beat: datetime | None
    waiting: int
    running: int
    lag_seconds: float
    """How long the oldest job that is due has waited."""
    dead_letters: int


_UNREACHABLE = Health(False, 0, None, 0, 0, 0.0, 0)


def health() -> Health:
    """Return the state of the current app's jobs, whichever process runs them; never raises."""
    store = get(JobStore)
    try:
        live_workers = store.workers.live_workers()
        backlog = store.records.backlog()
    except SQLAlchemyError as error:
        _log.warning("job store not reached", **error_fields(error))
        return _UNREACHABLE
    last_beat = max((worker.heartbeat_at for worker in live_workers), default=None)
    return Health(
        alive=last_beat is not None and datetime.now(UTC) - last_beat < _SILENT_AFTER,
        workers=len(live_workers),
        last_beat=last_beat,
        waiting=backlog.waiting,
        running=backlog.running,
        lag_seconds=backlog.lag_seconds,
        dead_letters=backlog.dead_letters,
    )


def init_app(app: Flask, database_url: str, data_dir: Path) -> None:
    """Configure the job store of ``app``. Opens nothing and does not import DBOS."""
    provide(app, JobStore, JobStore(app, database_url, data_dir))


def connect(app: Flask) -> None:
    """Open the store in a thread, for a process that enqueues jobs and runs none.

    Without this the first request that enqueues a job waits for the import of DBOS.
    """
    with app.app_context():
        store = get(JobStore)
    threading.Thread(target=_open_store, args=(store,), name="jobs-connect", daemon=True).start()


def _open_store(store: JobStore) -> None:
    try:
        store.client()
    except Exception as error:
        _log.warning("job store not opened", **error_fields(error))


_worker: Worker | None = None
_worker_lock = threading.Lock()


def start(app: Flask) -> None:
    """Run the jobs of ``app`` in this process, beside its pages; call ``init_app`` before.

    Returns at once: a thread imports DBOS (a third of a second) while the first pages are served.
    DBOS allows one such app in a process.
    """
    global _worker
    with _worker_lock:
        if _worker is not None:
            raise RuntimeError("the jobs of an app run in this process already")
        with app.app_context():
            _worker = Worker(get(JobStore))
        _worker.start()
    atexit.register(stop, 0)


def stop(grace_seconds: int = 5) -> bool:
    """Stop taking jobs and wait for the running ones; return whether all of them ended.

    The others are recovered by another worker when this process has ended.
    """
    global _worker
    with _worker_lock:
        worker, _worker = _worker, None
    if worker is None:
        return True
    atexit.unregister(stop)
    return worker.stop(grace_seconds)


def run(stop_event: threading.Event, drain_seconds: int = 5) -> bool:
    """Run the current app's jobs until ``stop_event`` is set; return whether all of them ended.

    ``./run worker`` calls this. Where it returns False, end the process without waiting for its
    threads: the jobs that still run are recovered by another worker then.
    """
    start(get(JobStore).app)
    stop_event.wait()
    return stop(drain_seconds)


@every("jobs.prune", "41 * * * *")
def _prune() -> None:
    get(JobStore).prune()
