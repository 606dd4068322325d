"""Job store and worker on DBOS; no other module of the app imports DBOS.

It is imported when the first job is enqueued or run, because that takes a third of a second.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from creditapp.jobs import worker_registry
from creditapp.jobs.records import SCHEMA, Records, job_key
from creditapp.jobs.registry import handlers, periodics
from creditapp.logs import error_fields

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

KILLS_MAX = 5
"""How many times a job is recovered from a dead worker before it becomes a dead letter."""

PER_USER = 2
"""Jobs of one partition (a user at a provider) that run at once, over all workers."""

PER_PROVIDER = 16
"""Jobs of one provider that run at once, over all workers."""

THREADS = 8
"""Jobs of one provider that run at once in one worker: a slow provider never starves another."""

UNPARTITIONED_THREADS = 4
"""Jobs without a partition that run at once in one worker, so that no image delays a payment."""

HEARTBEAT_SECONDS = 2.0
"""How often a worker renews its heartbeat and recovers the jobs of dead workers."""

_APPLICATION = "creditapp"
# DBOS recovers only jobs of its own version. Ours are names and ids, which every version reads.
_VERSION = "1"
_QUEUE = "jobs"
_POLL_SECONDS = 0.1
_PARTITION = re.compile(
    r"(?:(?P<provider>[a-z0-9][a-z0-9._-]{0,63})/)?(?P<user>[\x21-\x2e\x30-\x7e]+)"
)

_log = structlog.get_logger(__name__)


class JobFailed(Exception):
    """The only error that DBOS stores; it names only the type of the original error."""


class JobStore:
    """The job store of one app, and the client that enqueues jobs."""

    def __init__(self, app: Flask, database_url: str, data_dir: Path) -> None:
        self.app = app
        self.records = Records(database_url, data_dir)
        self.workers = worker_registry.open_worker_registry(
            database_url, data_dir, lambda: self.records.engine
        )
        self._lock = threading.Lock()
        self._client: DBOSClient | None = None
        self._queues: set[str] = set()

    def enqueue(
        self,
        name: str,
        row_id: str,
        *,
        partition: str | None = None,
        delay_seconds: float = 0,
        attempt: int = 1,
    ) -> None:
        """Store one attempt at a job; idempotent by name, row and attempt."""
        queue, partition_key = self._queue_for(partition)
        options: EnqueueOptions = {
            "workflow_name": name,
            "queue_name": queue,
            "workflow_id": job_key(name, row_id, attempt),
            "app_version": _VERSION,
        }
        if partition_key is not None:
            options["queue_partition_key"] = partition_key
        if delay_seconds > 0:
            options["delay_seconds"] = delay_seconds
        self.client().enqueue(options, row_id, attempt, partition)

    def dead_letters(self, name: str, row_ids: Collection[str]) -> set[str]:
        """Return the rows whose job failed for good, at whichever attempt."""
        attempts = range(1, len(handlers[name].retry_seconds) + 2)
        keys = {job_key(name, row, attempt): row for row in row_ids for attempt in attempts}
        return {keys[key] for key in self.records.dead_keys(keys.keys())}

    def client(self) -> DBOSClient:
        """Return DBOS's client; the first call imports it and creates its tables.

        Handlers enqueue jobs through the client too, not through ``DBOS``: each call of ``DBOS``
        inside a workflow becomes a numbered step, and DBOS would refuse a sweep that finds other
        rows when it runs again.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def prune(self) -> None:
        """Delete the records of jobs past their retention."""
        while keys := self.records.expired_keys():
            self.client().delete_workflows(keys)

    def _open(self) -> DBOSClient:
        _configure_logging()
        from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

        url = self.records.engine.url
        if url.get_backend_name() == "postgresql":
            url = url.update_query_dict({"connect_timeout": "5"})
        DBOS.migrate(url.render_as_string(hide_password=False), schema=SCHEMA)
        client = DBOSClient(
            system_database_engine=self.records.engine,
            dbos_system_schema=SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            application_name=_APPLICATION,
            # A request must get an error instead of waiting for the database to return.
            retry_connection_errors=False,
            lazy=True,
        )
        client.register_queue(
            _QUEUE, worker_concurrency=UNPARTITIONED_THREADS, polling_interval_sec=_POLL_SECONDS
        )
        return client

    def _queue_for(self, partition: str | None) -> tuple[str, str | None]:
        if partition is None:
            return _QUEUE, None
        match = _PARTITION.fullmatch(partition)
        if match is None:
            raise ValueError(f"{partition!r} is not a partition: '<provider>/<user>'")
        name = f"provider-{match['provider'] or 'any'}"
        if name not in self._queues:
            self.client().register_queue(
                name,
                worker_concurrency=THREADS,
                partition_concurrency=PER_USER,
                global_concurrency=PER_PROVIDER,
                polling_interval_sec=_POLL_SECONDS,
            )
            self._queues.add(name)
        return name, match["user"]


class Worker:
    """The worker of this process: one heartbeat thread, and DBOS's threads that run jobs."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._executor = worker_registry.new_executor_id()
        self._stopping = threading.Event()
        self._launched = False
        self._running: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Start the thread, which imports DBOS and launches it; return at once."""
        self._thread.start()

    def stop(self, grace_seconds: int) -> bool:
        """Take no more jobs and wait for the running ones; return whether all of them ended.

        The lock is kept while jobs still run, so that no other worker runs them too: they are
        handed on when the process ends.
        """
        self._stopping.set()
        self._thread.join()
        if not self._launched:
            return True
        from dbos import DBOS

        DBOS.destroy(
            destroy_registry=True,
            workflow_completion_timeout_sec=grace_seconds if self._running else 0,
        )
        if self._running:
            _log.warning("jobs handed on", executor=self._executor, count=len(self._running))
            return False
        self._store.workers.unregister()
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._launch()
                self._launched = True
                break
            except Exception as error:
                if not threading.main_thread().is_alive():
                    return  # the process ended first, and no thread can start now
                _log.error("jobs did not start", **error_fields(error))
                self._stopping.wait(HEARTBEAT_SECONDS)
        while not self._stopping.is_set():
            try:
                self._store.workers.heartbeat()
                self._recover_jobs()
            except Exception as error:
                _log.warning("heartbeat failed", **error_fields(error))
            self._stopping.wait(HEARTBEAT_SECONDS)

    def _launch(self) -> None:
        self._store.client()
        from dbos import DBOS, DBOSPortableJSONSerializer

        self._store.workers.register(self._executor)
        try:
            DBOS(
                config={
                    "name": _APPLICATION,
                    "system_database_engine": self._store.records.engine,
                    "dbos_system_schema": SCHEMA,
                    "serializer": DBOSPortableJSONSerializer(),
                    "application_version": _VERSION,
                    "executor_id": self._executor,
                    "log_level": "WARNING",
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": 0.25,
                }
            )
            for name in handlers:
                DBOS.workflow(name=name, max_recovery_attempts=KILLS_MAX)(self._workflow(name))
            ticks = {
                name: DBOS.workflow(name=f"every.{name}")(self._tick(name)) for name in periodics
            }
            DBOS.launch()
            for schedule in DBOS.list_schedules():
                if schedule["schedule_name"] not in ticks:
                    DBOS.delete_schedule(schedule["schedule_name"])
            DBOS.apply_schedules(
                [
                    {
                        "schedule_name": name,
                        "workflow_fn": tick,
                        "schedule": periodics[name].cron,
                        "queue_name": _QUEUE,
                    }
                    for name, tick in ticks.items()
                ]
            )
        except BaseException:
            DBOS.destroy(destroy_registry=True)
            self._store.workers.unregister()
            raise
        _log.info("jobs started", executor=self._executor)

    def _recover_jobs(self) -> None:
        """Return the running jobs of dead workers to their queues."""
        from dbos import DBOS

        for executor in self._store.records.executors_with_jobs():
            if executor == self._executor:
                continue
            with self._store.workers.lock_if_dead(executor) as is_dead:
                if is_dead:
                    # Private, and checked by a test: the public resume_workflows does not compare
                    # the state, so that two peers would both resume a job, and it loses the
                    # queue and the number of attempts. ADR 2 has the details.
                    recovered = DBOS._recover_pending_workflows([executor])
                    _log.warning("jobs recovered", executor=executor, count=len(recovered))

    def _workflow(self, name: str) -> Callable[[str, int, str | None], None]:
        def work(row_id: str, attempt: int, partition: str | None) -> None:
            with self._count_running():
                self._attempt(name, row_id, attempt, partition)

        return work

    def _attempt(self, name: str, row_id: str, attempt: int, partition: str | None) -> None:
        job, started_at = handlers[name], time.monotonic()
        try:
            with self._store.app.app_context():
                job.work(row_id)
        except Exception as error:
            fields = {"job": name, "id": row_id, "attempt": attempt, **error_fields(error)}
            if attempt > len(job.retry_seconds):
                _log.error("job failed for good", **fields)
                raise JobFailed(type(error).__name__) from None
            _log.warning("job failed", **fields)
        else:
            _log.debug(
                "job done", job=name, id=row_id, seconds=round(time.monotonic() - started_at, 3)
            )
            return
        self._enqueue_retry(name, row_id, attempt + 1, partition, job.retry_seconds[attempt - 1])

    def _enqueue_retry(
        self, name: str, row_id: str, attempt: int, partition: str | None, delay_seconds: float
    ) -> None:
        while True:
            try:
                return self._store.enqueue(
                    name, row_id, partition=partition, delay_seconds=delay_seconds, attempt=attempt
                )
            except SQLAlchemyError:
                # The store cannot be reached. Wait for it, as DBOS does to store a job's result.
                time.sleep(1.0)

    def _tick(self, name: str) -> Callable[[datetime, Any], None]:
        def work(scheduled_at: datetime, context: Any) -> None:
            periodic = periodics[name]
            if not periodic.busy.acquire(blocking=False):
                _log.info("tick skipped", job=name)
                return
            try:
                with self._count_running(), self._store.app.app_context():
                    periodic.work()
            except Exception as error:
                _log.error("tick failed", job=name, **error_fields(error))
                raise JobFailed(type(error).__name__) from None
            finally:
                periodic.busy.release()

        return work

    @contextmanager
    def _count_running(self) -> Iterator[None]:
        thread = threading.get_ident()
        self._running.add(thread)
        try:
            yield
        finally:
            self._running.discard(thread)


def _configure_logging() -> None:
    """Send DBOS's warnings to our log, without the failures that are logged already."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else DBOS adds one that writes to the terminal
        logger.addFilter(lambda record: not (record.exc_info and record.exc_info[0] is JobFailed))
    logger.setLevel(logging.WARNING)
