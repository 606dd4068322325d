"""Which worker processes are alive, so that the jobs of a dead one are taken over.

Each process that runs jobs holds a lock that the operating system or PostgreSQL lets go of by
itself when the process dies, however it dies: a session advisory lock on PostgreSQL, ``flock`` on
a file elsewhere. Whoever can take an executor's lock has proved that nobody holds it.

A lock can be lost while its process lives on (PostgreSQL restarted, a connection cut). Its jobs
may then run a second time beside the first, until it has taken the lock again at its next beat.
That is why handlers compare-and-set their own rows: the lock keeps this rare, not impossible. A
pooler that shares sessions (PgBouncer in transaction mode) cannot carry session locks at all.
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

_LOCK_CLASS = 0x6A6F6273  # "jobs": our corner of the database's advisory locks
_SESSION_PREFIX = "creditapp worker "

# A host that vanishes closes no connection; without these the server would keep the lock for two
# hours. With them it gives up after about seven seconds.
_KEEPALIVE = "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2"


@dataclass(frozen=True)
class Living:
    """A worker process whose lock is held, and when it was last heard of."""

    executor: str
    beat_at: datetime


class Roll(Protocol):
    """The roll of worker processes, as one of them or an onlooker sees it."""

    def enter(self, executor: str) -> None:
        """Take the lock of ``executor``, which is this process from now on."""

    def beat(self) -> None:
        """Say that this process lives; take its lock again if that was lost."""

    def leave(self) -> None:
        """Let go of this process's lock."""

    def dead(self, executor: str) -> AbstractContextManager[bool]:
        """Tell whether another executor is dead, and keep peers off it inside ``with``."""

    def living(self) -> list[Living]:
        """Return the worker processes that live now."""


def new_executor() -> str:
    """Return a name no other process has had: DBOS gives two of one name the same job."""
    return f"{socket.gethostname()[:20]}-{os.getpid()}-{secrets.token_hex(4)}"


def open_roll(database_url: str, data_dir: Path, pool: Callable[[], Engine]) -> Roll:
    """Return the roll that belongs to the database: sessions of PostgreSQL, or files.

    ``pool`` gives the connections through which an onlooker asks.
    """
    if database_url.startswith("sqlite"):
        return FileRoll(data_dir / "workers")
    return PostgresRoll(database_url, pool)


class FileRoll:
    """Locks on files, for processes that share one machine and one SQLite file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._executor = ""
        self._file: int | None = None

    def enter(self, executor: str) -> None:
        """Take the lock of ``executor``, which is this process from now on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._executor = executor
        path = self._path(executor)
        while self._file is None:
            file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            # A peer that looked between the two lines above has removed the file as a dead one's.
            if os.path.exists(path) and os.path.samefile(path, file):
                self._file = file
            else:
                os.close(file)

    def beat(self) -> None:
        """Touch the file; make it anew if somebody cleared the folder."""
        try:
            os.utime(self._path(self._executor))
        except FileNotFoundError:
            self.leave()
            self.enter(self._executor)

    def leave(self) -> None:
        """Let go of this process's lock."""
        if self._file is not None:
            self._path(self._executor).unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    @contextmanager
    def dead(self, executor: str) -> Iterator[bool]:
        """Yield whether ``executor`` is dead; its file goes when the block ends well."""
        path = self._path(executor)
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield True
            return
        try:
            if not _lock_at_once(file):
                yield False
                return
            yield True
            path.unlink(missing_ok=True)
        finally:
            os.close(file)

    def living(self) -> list[Living]:
        """Return the processes that hold their files."""
        found = []
        for path in sorted(self._folder.glob("*.lock")):
            with self.dead(path.stem) as is_dead:
                if not is_dead:
                    with suppress(FileNotFoundError):
                        beat_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                        found.append(Living(path.stem, beat_at))
        return found

    def _path(self, executor: str) -> Path:
        return self._folder / f"{executor}.lock"


def _lock_at_once(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class PostgresRoll:
    """Session advisory locks, for processes on any number of machines."""

    def __init__(self, database_url: str, pool: Callable[[], Engine]) -> None:
        self._url = database_url
        self._pool = pool
        self._executor = ""
        self._session: Connection | None = None

    def enter(self, executor: str) -> None:
        """Open this process's session and take its lock there."""
        self._executor = executor
        session = self._open_session()
        taken = session.scalar(text("SELECT pg_try_advisory_lock(:c, :k)"), _lock_key(executor))
        if not taken:
            session.close()
            raise LockTaken(executor)
        self._session = session

    def beat(self) -> None:
        """Use the session, and open it again if it was cut."""
        try:
            if self._session is None:
                self.enter(self._executor)
            else:
                self._session.execute(text("SELECT 1"))
        except DBAPIError:
            self.leave()
            self.enter(self._executor)

    def leave(self) -> None:
        """Close this process's session, and its lock with it."""
        session, self._session = self._session, None
        if session is not None:
            session.invalidate()
            session.close()

    @contextmanager
    def dead(self, executor: str) -> Iterator[bool]:
        """Yield whether ``executor`` is dead; no other peer can take it over meanwhile."""
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

    def living(self) -> list[Living]:
        """Return the processes whose sessions are open, by what the server says of them."""
        statement = text(
            "SELECT application_name, state_change FROM pg_stat_activity"
            " WHERE datname = current_database() AND starts_with(application_name, :prefix)"
            " ORDER BY application_name"
        )
        with self._pool().connect() as connection:
            rows = connection.execute(statement, {"prefix": _SESSION_PREFIX}).all()
        return [
            Living(name.removeprefix(_SESSION_PREFIX), at.astimezone(UTC))
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
        return engine.connect()


class LockTaken(Exception):
    """A peer holds this executor's lock at this moment, because it takes over its jobs."""


def _lock_key(executor: str) -> dict[str, int]:
    number = zlib.crc32(executor.encode())
    return {"c": _LOCK_CLASS, "k": number - 2**32 if number >= 2**31 else number}
