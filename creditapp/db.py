"""The database: one engine for both kinds, and the one way to write.

A write happens inside ``with transaction() as session:``, which stands in a route, a job or a
command and never around a network call; the verbs below take the session and never commit. Reads
use ``reading()``: they are deferred and write nothing.

On SQLite a write begins with BEGIN IMMEDIATE, because a transaction that reads first and writes
later fails at once with "database is locked" when another writer came between. Waiting for the
lock is a short retry with jitter: SQLite's own busy handler lets threads starve for seconds.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as BoundSession
from sqlalchemy import BigInteger, DateTime, Integer, MetaData, Result, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

BUSY_SECONDS_MAX = 20.0
"""How long a writer waits for another one before it gives up with an error."""

RESTED_SECONDS = 1.0
"""After this long in the pool a connection is asked whether it still lives."""

_WRITES = "creditapp_writes"
_READS = "creditapp:reads"


class Base(DeclarativeBase):
    """The models' base; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC on both databases; a naive one is a mistake and is refused.

    SQLite stores text of constant width, so that its order is the order of time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments and turn the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what was stored, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key. SQLite numbers rows by itself only for a column of type INTEGER."""


class _ReadingSession(BoundSession):
    """The request's session: on PostgreSQL each of its reads is a transaction of its own.

    READ COMMITTED shows every statement a snapshot of its own anyway. Without BEGIN and ROLLBACK a
    read is one trip instead of three, no lock is kept between two reads, and psycopg keeps its
    prepared statements, which it drops at every ROLLBACK (measured: half of a call's trips).
    """

    def get_bind(self, *_args: Any, **_kwargs: Any) -> Engine:
        """Return the app's engine for reads."""
        engine: Engine = current_app.extensions[_READS]
        return engine


db = SQLAlchemy(
    model_class=Base, session_options={"expire_on_commit": False, "class_": _ReadingSession}
)


def init_app(app: Flask, url: str) -> None:
    """Bind the app to the database at ``url``, which is a SQLAlchemy URL."""
    options: dict[str, Any] = {
        # An error's text reaches the log; what people typed, and their addresses, must not.
        "hide_parameters": True,
    }
    if url.startswith("sqlite"):
        # One connection a thread at a time; the retry below replaces the driver's own waiting.
        options["connect_args"] = {"timeout": 0, "check_same_thread": False}
        options["pool_size"], options["max_overflow"] = 20, 60
    else:
        options["pool_size"], options["max_overflow"] = 10, 40
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
        reads = {} if url.startswith("sqlite") else {"isolation_level": "AUTOCOMMIT"}
        app.extensions[_READS] = db.engine.execution_options(**reads)


def prepare_engine(engine: Engine) -> None:
    """Teach an engine our rules for connections and for the beginning of transactions."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "checkin", _note_the_rest)
        event.listen(engine, "checkout", partial(_ask_after_a_rest, engine.dialect))


def _note_the_rest(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["rests_since"] = time.monotonic()


def _ask_after_a_rest(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Replace a connection that died in the pool before anybody meets an error.

    SQLAlchemy's own ``pool_pre_ping`` asks at every checkout, which is a trip for each transaction.
    """
    rests_since = record.info.get("rests_since")
    if rests_since is None or time.monotonic() - rests_since < RESTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError("the connection died while it rested") from error


def _prepare_sqlite_connection(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing; _begin_sqlite does
    cursor = connection.cursor()
    # FULL: with NORMAL a power cut may take back the last commits, and these are people's money.
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        _retry_while_busy(partial(cursor.execute, f"PRAGMA {setting}"))
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES):
        _retry_while_busy(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        connection.exec_driver_sql("BEGIN")


def _retry_while_busy(action: Any) -> None:
    give_up_at = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        try:
            action()
            return
        except Exception as error:
            cause = getattr(error, "orig", error)
            busy = isinstance(cause, sqlite3.OperationalError) and "locked" in str(cause)
            if not busy or time.monotonic() > give_up_at:
                raise
        # Sources: measured; 0.1 to 1 ms of jitter doubled the throughput of the busy handler.
        time.sleep(random.uniform(0.0001, 0.001))  # noqa: S311  # jitter, not a secret


@contextmanager
def transaction(engine: Engine | None = None) -> Iterator[Session]:
    """Open the one write transaction of a route, job or command; commit at the end.

    Whatever the request had been reading is closed first: it would hold an old snapshot, and on
    SQLite a second connection. An exception rolls everything back. READ COMMITTED on PostgreSQL,
    BEGIN IMMEDIATE on SQLite. Never wait for a network inside it.
    """
    if engine is None:
        stop_reading()
        engine = db.engine
    with (
        _turn_to_write(engine),
        engine.connect().execution_options(**{_WRITES: True}) as connection,
        connection.begin(),
        Session(bind=connection, expire_on_commit=False, autoflush=True) as session,
    ):
        yield session
        session.flush()


@contextmanager
def _turn_to_write(engine: Engine) -> Iterator[None]:
    """Let the threads of this process write to SQLite one after the other.

    SQLite has one writer; threads that wait here sleep, where in the retry they would wake each
    other's processor a thousand times a second. Other processes are waited for by the retry.
    """
    if engine.dialect.name != "sqlite":
        yield
        return
    lock = _turns.setdefault(str(engine.url), threading.Lock())
    if not lock.acquire(timeout=BUSY_SECONDS_MAX):
        raise TimeoutError("another writer of this process holds SQLite for too long")
    try:
        yield
    finally:
        lock.release()


_turns: dict[str, threading.Lock] = {}
# A forked child must not wait for a turn that a thread of its parent had.
os.register_at_fork(after_in_child=_turns.clear)


def reading() -> Session:
    """Return the request's session for reads; the request's end or ``transaction`` closes it."""
    return db.session()


def stop_reading() -> None:
    """End the request's read before a wait: for a network, for a job. What was read stays usable.

    A read that stays open holds a connection and, on SQLite, an old snapshot of the whole file.
    """
    db.session.close()


@contextmanager
def snapshot() -> Iterator[Session]:
    """Open a short read apart from the request's; what it finds stays usable after it."""
    with db.engine.connect() as connection, Session(bind=connection) as session:
        yield session
        session.expunge_all()


def insert_once(session: Session, row: Base, unique: Sequence[str] = ()) -> bool:
    """Insert a row unless one with the same ``unique`` columns exists; return whether it was new.

    Without columns, a row that is the same in any key of the table is enough.
    On PostgreSQL it waits for a rival's commit, so that the loser then sees the winner's row.
    """
    table = type(row).__table__
    values = {
        column.key: value
        for column in table.columns
        if (value := getattr(row, column.key)) is not None
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    # The values go beside the statement, so that its compiled form is found again.
    statement = insert(type(row)).on_conflict_do_nothing(index_elements=unique or None)
    # What RETURNING says, because a driver need not count the rows of an INSERT.
    told = session.connection().execute(statement.returning(*table.primary_key), values)
    return told.first() is not None


def changed(result: Result[Any]) -> int:
    """Return how many rows an UPDATE or DELETE touched: the answer of a compare-and-set."""
    count: int = getattr(result, "rowcount", 0)
    return count
