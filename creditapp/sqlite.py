"""SQLite: the settings of a connection, and how writers wait for one another.

A write begins with BEGIN IMMEDIATE, because a transaction that reads first and writes later fails
at once with "database is locked" when another writer came between. Waiting for the lock is a short
retry with jitter: SQLite's own busy handler lets threads starve for seconds.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy.engine import Engine

BUSY_SECONDS_MAX = 20.0
"""How long a writer waits for another one before it fails."""


def prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    """Set a new connection up: durable commits, foreign keys, no transactions of the driver's."""
    connection.isolation_level = None  # db.py begins transactions, not the driver
    cursor = connection.cursor()
    # FULL: with NORMAL a power failure may undo the last commits, and they are money.
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        retry_while_busy(partial(cursor.execute, f"PRAGMA {setting}"))
    cursor.close()


def retry_while_busy(action: Callable[[], object]) -> None:
    """Do what SQLite refuses at once while another connection writes, until it is free."""
    deadline = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        # Measured: 0.1 to 1 ms of jitter doubled the throughput of SQLite's busy handler.
        time.sleep(random.uniform(0.0001, 0.001))  # noqa: S311  # jitter, not a secret


@contextmanager
def one_writer(engine: Engine) -> Iterator[None]:
    """Serialise this process's writers to SQLite.

    SQLite has one writer. Threads sleep here; in the retry they would wake up a thousand times a
    second. The retry waits for other processes.
    """
    if engine.dialect.name != "sqlite":
        yield
        return
    lock = _writer_locks.setdefault(engine.url.database, threading.Lock())
    if not lock.acquire(timeout=BUSY_SECONDS_MAX):
        raise TimeoutError("another writer of this process held SQLite for too long")
    try:
        yield
    finally:
        lock.release()


_writer_locks: dict[str | None, threading.Lock] = {}
# A forked child must not wait for a lock that a thread of its parent held.
os.register_at_fork(after_in_child=_writer_locks.clear)
