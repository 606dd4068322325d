"""Queries on the job tables: backlog, executors, expired records.

The tables belong to DBOS, in a file or a schema of their own, and only DBOS writes them. They are
read here without importing DBOS, so that a health check is cheap. The column names are those of
the release that the lock file pins; a test fails when they change.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Engine,
    Select,
    TableClause,
    column,
    create_engine,
    event,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.exc import ProgrammingError

from creditapp.postgresql import ping_idle_connections, set_session
from creditapp.sqlite import retry_while_busy

KEEP_DAYS = 1
KEEP_DEAD_DAYS = 90
SCHEMA = "dbos"
"""The schema of the job tables in a PostgreSQL database."""

_DONE = ("SUCCESS", "CANCELLED")
_DEAD = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_PRUNE_BATCH = 500


@dataclass(frozen=True)
class Backlog:
    """Numbers of unfinished and failed jobs."""

    waiting: int
    running: int
    dead_letters: int
    lag_seconds: float
    """How long the oldest job that is due has waited."""


def job_key(name: str, row_id: str, attempt: int) -> str:
    """Return the key under which one attempt at a job exists at most once."""
    return f"{name}:{row_id}" if attempt == 1 else f"{name}:{row_id}~{attempt}"


class Records:
    """The job tables of one app, opened at first use."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self._url = database_url
        self._data_dir = data_dir
        self._schema = None if database_url.startswith("sqlite") else SCHEMA
        self._job = _job_table(self._schema)
        self._complete = False

    @cached_property
    def engine(self) -> Engine:
        """The connection pool of the job tables, created at first use."""
        return _new_engine(self._url, self._data_dir)

    def backlog(self) -> Backlog:
        """Count the jobs; a failed tick is not a dead letter, because the next one replaces it."""
        job = self._job
        due_at = func.coalesce(job.c.delay_until_epoch_ms, job.c.created_at)
        query = (
            select(job.c.status, func.count(), func.min(due_at))
            .where(job.c.status.in_(("ENQUEUED", "PENDING", *_DEAD)))
            .where(job.c.schedule_name.is_(None) | job.c.status.not_in(_DEAD))
            .group_by(job.c.status)
        )
        counts = {status: (count, first_ms) for status, count, first_ms in self._rows(query)}
        waiting, first_ms = counts.get("ENQUEUED", (0, None))
        return Backlog(
            waiting=waiting,
            running=counts.get("PENDING", (0, None))[0],
            dead_letters=sum(counts.get(status, (0, None))[0] for status in _DEAD),
            lag_seconds=max(0.0, time.time() - first_ms / 1000) if first_ms else 0.0,
        )

    def executors_with_jobs(self) -> list[str]:
        """Return the executors, alive or dead, that have running jobs."""
        job = self._job
        query = select(job.c.executor_id).where(job.c.status == "PENDING").distinct()
        return [executor for (executor,) in self._rows(query) if executor]

    def dead_keys(self, keys: Collection[str]) -> set[str]:
        """Return which of these keys are dead letters."""
        job = self._job
        query = select(job.c.workflow_uuid).where(
            job.c.workflow_uuid.in_(keys), job.c.status.in_(_DEAD)
        )
        return {key for (key,) in self._rows(query)}

    def expired_keys(self) -> list[str]:
        """Return the keys of one batch of jobs past their retention; empty when none are left."""
        job = self._job
        for statuses, days in ((_DONE, KEEP_DAYS), (_DEAD, KEEP_DEAD_DAYS)):
            query = (
                select(job.c.workflow_uuid)
                .where(job.c.status.in_(statuses))
                .where(job.c.updated_at < (time.time() - days * 86_400) * 1000)
                .limit(_PRUNE_BATCH)
            )
            if keys := [key for (key,) in self._rows(query)]:
                return keys
        return []

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        if not self._complete and not inspect(self.engine).has_table(
            self._job.name, schema=self._schema
        ):
            return []
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(query).all()
        except ProgrammingError:
            if self._complete:
                raise
            # Some columns are missing: another process is creating the tables at this moment.
            return []
        self._complete = True
        return rows


def _job_table(schema: str | None) -> TableClause:
    names = (
        "workflow_uuid status executor_id schedule_name created_at updated_at delay_until_epoch_ms"
    )
    return table("workflow_status", *(column(name) for name in names.split()), schema=schema)


def _new_engine(database_url: str, data_dir: Path) -> Engine:
    """Return an engine for the job tables alone: jobs must not wait for pages' connections."""
    if not database_url.startswith("sqlite"):
        # The timeout is DBOS's own guard: a frozen process must not keep rows locked. A power cut
        # may lose the last jobs, and the sweeps enqueue them again.
        options = "-c idle_in_transaction_session_timeout=60000 -c synchronous_commit=off"
        engine = create_engine(
            database_url,
            hide_parameters=True,
            pool_size=8,
            max_overflow=16,
            connect_args={
                "application_name": "creditapp jobs",
                "connect_timeout": 5,
                "options": options,
            },
        )
        set_session(engine, durable=False)
        ping_idle_connections(engine)
        return engine
    engine = create_engine(
        f"sqlite:///{data_dir / 'jobs.sqlite'}",
        hide_parameters=True,
        connect_args={"timeout": 30, "check_same_thread": False},
        pool_size=8,
        max_overflow=24,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # As DBOS does on its own connections: a transaction takes the write lock at its start.
    connection.isolation_level = "IMMEDIATE"
    retry_while_busy(lambda: connection.execute("PRAGMA journal_mode=WAL"))
    # NORMAL: a power cut may lose the last jobs, and the sweeps enqueue them again.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
