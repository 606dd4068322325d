"""DBOS, and nothing else in the house knows of it: where jobs are put, and where they are run.

It is imported when the first job is put or run, not before: that takes a third of a second.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
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

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

KILLS_MAX = 5
"""How many times a job is taken over from a dead worker; then it is a dead letter itself."""

PER_USER = 2
"""Jobs of one lane (a user at a provider) that run at once, over all workers."""

PER_PROVIDER = 16
"""Jobs of one provider that run at once, over all workers."""

THREADS = 8
"""Jobs of one provider that run at once in one worker: a slow vendor never starves another."""

UNLANED_THREADS = 4
"""Jobs without a lane that run at once in one worker, so that no picture delays a payment."""

BEAT_SECONDS = 2.0
"""How often a worker says that it lives and looks for the jobs of dead ones."""

_APPLICATION = "creditapp"
# Recovery sees only jobs of its own version. Ours are names and ids, which every version reads.
_VERSION = "1"
_QUEUE = "jobs"
_POLL_SECONDS = 0.1
_LANE = re.compile(r"(?:(?P<provider>[a-z0-9][a-z0-9._-]{0,63})/)?(?P<user>[\x21-\x2e\x30-\x7e]+)")

_log = structlog.get_logger(__name__)


class JobFailed(Exception):
    """The only error that reaches DBOS's tables: it names the kind of the true one, no more."""


class JobStore:
    """Where an app's jobs are kept, with the door through which they are put there."""

    def __init__(self, app: Flask, database_url: str, data_dir: Path) -> None:
        self.app = app
        self.records = Records(database_url, data_dir)
        self.roll = worker_registry.open_roll(database_url, data_dir, lambda: self.records.engine)
        self._lock = threading.Lock()
        self._client: DBOSClient | None = None
        self._queues: set[str] = set()

    def put(
        self,
        name: str,
        row_id: str,
        *,
        lane: str | None = None,
        seconds: float = 0,
        attempt: int = 1,
    ) -> None:
        """Write one attempt at a job; the same one again changes nothing."""
        queue, partition = self._queue_of(lane)
        options: EnqueueOptions = {
            "workflow_name": name,
            "queue_name": queue,
            "workflow_id": job_key(name, row_id, attempt),
            "app_version": _VERSION,
        }
        if partition is not None:
            options["queue_partition_key"] = partition
        if seconds > 0:
            options["delay_seconds"] = seconds
        self.client().enqueue(options, row_id, attempt, lane)

    def client(self) -> DBOSClient:
        """Return DBOS's client; the first call imports it and makes its tables.

        Handlers put jobs through the client too, not through ``DBOS``: what DBOS is asked inside
        a workflow becomes a numbered step of it, and a sweep that finds other rows when it is run
        again would be refused as another program.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def prune(self) -> None:
        """Delete the records of jobs that ended long ago."""
        while keys := self.records.outdated():
            self.client().delete_workflows(keys)

    def _open(self) -> DBOSClient:
        _quiet()
        from dbos import DBOSClient, DBOSPortableJSONSerializer

        client = DBOSClient(
            system_database_engine=self.records.engine,
            dbos_system_schema=SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            application_name=_APPLICATION,
            # A page would rather be told than wait for the database to come back.
            retry_connection_errors=False,
            lazy=True,
        )
        client._sys_db.run_migrations()
        client.register_queue(
            _QUEUE, worker_concurrency=UNLANED_THREADS, polling_interval_sec=_POLL_SECONDS
        )
        return client

    def _queue_of(self, lane: str | None) -> tuple[str, str | None]:
        if lane is None:
            return _QUEUE, None
        parts = _LANE.fullmatch(lane)
        if parts is None:
            raise ValueError(f"{lane!r} is not a lane: '<provider>/<user>'")
        name = f"lane-{parts['provider'] or 'any'}"
        if name not in self._queues:
            self.client().register_queue(
                name,
                worker_concurrency=THREADS,
                partition_concurrency=PER_USER,
                global_concurrency=PER_PROVIDER,
                polling_interval_sec=_POLL_SECONDS,
            )
            self._queues.add(name)
        return name, parts["user"]


class Worker:
    """This process as one that runs jobs: one thread that lives, and DBOS's threads that work."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._executor = worker_registry.new_executor()
        self._stopping = threading.Event()
        self._launched = False
        self._running: set[int] = set()
        self._thread = threading.Thread(target=self._live, name="jobs", daemon=True)

    def begin(self) -> None:
        """Start the thread, which imports DBOS and launches it; return at once."""
        self._thread.start()

    def end(self, grace_seconds: int) -> None:
        """Stop; keep the lock of jobs still running, so that nobody doubles them meanwhile."""
        self._stopping.set()
        self._thread.join()
        if not self._launched:
            return
        from dbos import DBOS

        DBOS.destroy(
            destroy_registry=True,
            workflow_completion_timeout_sec=grace_seconds if self._running else 0,
        )
        if not self._running:
            self._store.roll.leave()

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                self._launch()
                self._launched = True
                break
            except Exception as error:
                if not threading.main_thread().is_alive():
                    return  # the process ended before its jobs began, and nothing can start now
                _log.error("jobs did not start", **_kind_and_place(error))
                self._stopping.wait(BEAT_SECONDS)
        while not self._stopping.is_set():
            try:
                self._store.roll.beat()
                self._take_over()
            except Exception as error:
                _log.warning("jobs missed a beat", **_kind_and_place(error))
            self._stopping.wait(BEAT_SECONDS)

    def _launch(self) -> None:
        self._store.client()
        from dbos import DBOS, DBOSPortableJSONSerializer

        self._store.roll.enter(self._executor)
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
            self._store.roll.leave()
            raise
        _log.info("jobs started", executor=self._executor)

    def _take_over(self) -> None:
        """Put back into their queues the jobs that dead workers had begun."""
        from dbos import DBOS

        for executor in self._store.records.begun_by():
            if executor == self._executor:
                continue
            with self._store.roll.dead(executor) as is_dead:
                if is_dead:
                    # The private one: the public resume_workflows asks no question, so that two
                    # peers would both resume, and it forgets the queue and the attempts.
                    taken = DBOS._recover_pending_workflows([executor])
                    _log.warning("jobs taken over", executor=executor, count=len(taken))

    def _workflow(self, name: str) -> Callable[[str, int, str | None], None]:
        def work(row_id: str, attempt: int, lane: str | None) -> None:
            with self._counted():
                self._attempt(name, row_id, attempt, lane)

        return work

    def _attempt(self, name: str, row_id: str, attempt: int, lane: str | None) -> None:
        job, began_at = handlers[name], time.monotonic()
        try:
            with self._store.app.app_context():
                job.work(row_id)
        except Exception as error:
            told = {"job": name, "id": row_id, "attempt": attempt, **_kind_and_place(error)}
            if attempt > len(job.retry_seconds):
                _log.error("job given up", **told)
                raise JobFailed(type(error).__name__) from None
            _log.warning("job failed", **told)
        else:
            _log.debug(
                "job done", job=name, id=row_id, seconds=round(time.monotonic() - began_at, 3)
            )
            return
        self._put_again(name, row_id, attempt + 1, lane, job.retry_seconds[attempt - 1])

    def _put_again(
        self, name: str, row_id: str, attempt: int, lane: str | None, seconds: float
    ) -> None:
        while True:
            try:
                return self._store.put(name, row_id, lane=lane, seconds=seconds, attempt=attempt)
            except SQLAlchemyError:
                # The store is away. This job waits for it, as DBOS does to write its end.
                time.sleep(1.0)

    def _tick(self, name: str) -> Callable[[datetime, Any], None]:
        def work(scheduled_at: datetime, context: Any) -> None:
            periodic = periodics[name]
            if not periodic.busy.acquire(blocking=False):
                _log.info("tick left out", job=name)
                return
            try:
                with self._counted(), self._store.app.app_context():
                    periodic.work()
            except Exception as error:
                _log.error("tick failed", job=name, **_kind_and_place(error))
                raise JobFailed(type(error).__name__) from None
            finally:
                periodic.busy.release()

        return work

    @contextmanager
    def _counted(self) -> Iterator[None]:
        thread = threading.get_ident()
        self._running.add(thread)
        try:
            yield
        finally:
            self._running.discard(thread)


def _kind_and_place(error: BaseException) -> dict[str, str]:
    """Return what a log may say of an error: its text may quote a prompt or a key."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"error": type(error).__name__, "place": place}


def _quiet() -> None:
    """Send DBOS's log where ours goes, warnings only, without the failures we told already."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else DBOS adds one that writes to the terminal
        logger.addFilter(lambda record: not (record.exc_info and record.exc_info[0] is JobFailed))
    logger.setLevel(logging.WARNING)
