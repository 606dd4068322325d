"""Registry of live worker processes, so that peers take over the jobs of a dead one.

Each worker process holds a lock that the operating system or PostgreSQL releases when the process
dies, however it dies: a session advisory lock on PostgreSQL, ``flock`` on a file elsewhere. A
process that acquires another executor's lock has proved that the executor is dead.

A live process can lose its lock (PostgreSQL restarts, a connection is cut). Its jobs may then run
a second time in parallel, until its next heartbeat acquires the lock again. Handlers therefore
compare-and-set their own rows: the lock makes this rare, not impossible. A pooler that shares
sessions (PgBouncer in transaction mode) cannot be used, because it breaks session locks.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from creditapp.postgresql import set_session

_LOCK_CLASS = 0x6A6F6273  # "jobs": the namespace of our advisory locks
_SESSION_PREFIX = "creditapp worker "

# A host that vanishes closes no connection: by default the server would keep its lock for two
# hours. With these settings it drops the session after about seven seconds.
_KEEPALIVE = "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2"


@dataclass(frozen=True)
class LiveWorker:
    """A worker process that holds its lock, with the time of its last heartbeat."""

    executor: str
    heartbeat_at: datetime


class WorkerRegistry(Protocol):
    """Registry of worker processes, used by the workers and by processes that only read it."""

    def register(self, executor: str) -> None:
        """Acquire the lock of ``executor``, the id of this process from now on."""

    def heartbeat(self) -> None:
        """Renew this process's heartbeat; acquire its lock again if it was lost."""

    def unregister(self) -> None:
        """Release this process's lock."""

    def lock_if_dead(self, executor: str) -> AbstractContextManager[bool]:
        """Yield whether another executor is dead, and lock it against peers inside ``with``."""

    def live_workers(self) -> list[LiveWorker]:
        """Return the worker processes that are alive now."""


def new_executor_id() -> str:
    """Return a unique executor id: DBOS gives two executors with one id the same job."""
    return f"{socket.gethostname()[:20]}-{os.getpid()}-{secrets.token_hex(4)}"


def open_worker_registry(
    database_url: str, data_dir: Path, pool: Callable[[], Engine]
) -> WorkerRegistry:
    """Return the registry for the database: PostgreSQL sessions, or lock files.

    ``pool`` returns the engine that ``live_workers`` reads through.
    """
    if database_url.startswith("sqlite"):
        return FileWorkerRegistry(data_dir / "workers")
    return PostgresWorkerRegistry(database_url, pool)


class FileWorkerRegistry:
    """Lock files, for processes that share one machine and one SQLite file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._executor = ""
        self._file: int | None = None

    def register(self, executor: str) -> None:
        """Acquire the lock of ``executor``, the id of this process from now on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._executor = executor
        path = self._path(executor)
        while self._file is None:
            file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            # A peer that checked between the two lines above removed the file as a dead worker's.
            if os.path.exists(path) and os.path.samefile(path, file):
                self._file = file
            else:
                os.close(file)

    def heartbeat(self) -> None:
        """Touch the file; create it again if the folder was cleared."""
        try:
            os.utime(self._path(self._executor))
        except FileNotFoundError:
            self.unregister()
            self.register(self._executor)

    def unregister(self) -> None:
        """Release this process's lock."""
        if self._file is not None:
            self._path(self._executor).unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    @contextmanager
    def lock_if_dead(self, executor: str) -> Iterator[bool]:
        """Yield whether ``executor`` is dead; delete its file if the block succeeds."""
        path = self._path(executor)
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield True
            return
        try:
            if not _try_lock(file):
                yield False
                return
            yield True
            path.unlink(missing_ok=True)
        finally:
            os.close(file)

    def live_workers(self) -> list[LiveWorker]:
        """Return the processes that hold the lock of their file."""
        workers = []
        for path in sorted(self._folder.glob("*.lock")):
            with self.lock_if_dead(path.stem) as is_dead:
                if not is_dead:
                    with suppress(FileNotFoundError):
                        heartbeat_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                        workers.append(LiveWorker(path.stem, heartbeat_at))
        return workers

    def _path(self, executor: str) -> Path:
        return self._folder / f"{executor}.lock"


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class PostgresWorkerRegistry:
    """Session advisory locks, for processes on any number of machines."""

    def __init__(self, database_url: str, pool: Callable[[], Engine]) -> None:
        self._url = database_url
        self._pool = pool
        self._executor = ""
        self._session: Connection | None = None

    def register(self, executor: str) -> None:
        """Open this process's session and acquire its lock there."""
        self._executor = executor
        session = self._open_session()
        acquired = session.scalar(text("SELECT pg_try_advisory_lock(:c, :k)"), _lock_key(executor))
        if not acquired:
            session.close()
            raise LockTaken(executor)
        self._session = session

    def heartbeat(self) -> None:
        """Use the session, and open it again if it was closed."""
        try:
            if self._session is None:
                self.register(self._executor)
            else:
                self._session.execute(text("SELECT 1"))
        except DBAPIError:
            self.unregister()
            self.register(self._executor)

    def unregister(self) -> None:
        """Close this process's session, which releases its lock."""
        session, self._session = self._session, None
        if session is not None:
            session.invalidate()
            session.close()

    @contextmanager
    def lock_if_dead(self, executor: str) -> Iterator[bool]:
        """Yield whether ``executor`` is dead; inside ``with`` no peer can take over its jobs."""
        if self._session is None:
            yield False
            return
        key = _lock_key(executor)
        is_dead = bool(self._session.scalar(text("SELECT pg_try_advisory_lock(:c, :k)"), key))
        try:
            yield is_dead
        finally:
            if is_dead:
                self._session.execute(text("SELECT pg_advisory_unlock(:c, :k)"), key)

    def live_workers(self) -> list[LiveWorker]:
        """Return the processes with an open session, from ``pg_stat_activity``."""
        statement = text(
            "SELECT application_name, state_change FROM pg_stat_activity"
            " WHERE datname = current_database() AND starts_with(application_name, :prefix)"
            " ORDER BY application_name"
        )
        with self._pool().connect() as connection:
            rows = connection.execute(statement, {"prefix": _SESSION_PREFIX}).all()
        return [
            LiveWorker(name.removeprefix(_SESSION_PREFIX), at.astimezone(UTC))
            for name, at in rows
            if at is not None
        ]

    def _open_session(self) -> Connection:
        engine = create_engine(
            self._url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "application_name": f"{_SESSION_PREFIX}{self._executor}",
                "connect_timeout": 5,
                "options": _KEEPALIVE,
            },
        )
        set_session(engine, durable=False)
        return engine.connect()


class LockTaken(Exception):
    """A peer holds this executor's lock at this moment, to take over its jobs."""


def _lock_key(executor: str) -> dict[str, int]:
    number = zlib.crc32(executor.encode())
    return {"c": _LOCK_CLASS, "k": number - 2**32 if number >= 2**31 else number}
