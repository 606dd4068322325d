"""The database: one engine for SQLite and PostgreSQL, one way to read and one to write.

A write is ``with transaction() as session:`` in a route, a job or a command, never around a network
call; functions below take the session and never commit. Reads use ``reading()``: they are deferred.
A write anywhere else raises ``WriteOutsideTransaction``.

What is particular to one of the two databases is in ``sqlite.py`` and ``postgresql.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as BoundSession
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    MetaData,
    event,
    inspect,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeDecorator

from creditapp import postgresql as postgresql_session
from creditapp import sqlite as sqlite_waits

WRITES = "creditapp_writes"
"""Execution option of the connections that may write; ``transaction`` sets it."""

_READS = "creditapp:reads"
_WRITER = "creditapp:writer"
_AFTER_COMMIT = "creditapp:after-commit"


class WriteOutsideTransaction(RuntimeError):
    """A write through a session or connection that is not ``transaction()``'s: a mistake in code.

    On PostgreSQL it would be committed at once, on SQLite rolled back at the end of the request.
    """

    def __init__(self) -> None:
        super().__init__("writes need `with transaction() as session`")


class Base(DeclarativeBase):
    """Options of ``db.Model``; constraints are named, so that migrations can refer to them."""

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
    """An aware time in UTC on both databases; naive ones are refused.

    SQLite stores text of constant width, which sorts by time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; raise ``ValueError`` for a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key. SQLite assigns row numbers only to a column of type INTEGER."""


class _ReadingSession(BoundSession):
    """The request's read session: on PostgreSQL every read is a transaction of its own.

    READ COMMITTED gives every statement its own snapshot anyway. Without BEGIN and ROLLBACK a read
    takes one round trip instead of three, holds no lock between two reads, and psycopg keeps its
    prepared statements, which it drops at every ROLLBACK (measured: half of a call's round trips).
    """

    def get_bind(self, *_args: Any, **_kwargs: Any) -> Engine:
        """Return the app's engine for reads."""
        engine: Engine = current_app.extensions[_READS]
        return engine


db = SQLAlchemy(
    model_class=Base, session_options={"expire_on_commit": False, "class_": _ReadingSession}
)

# ``class User(db.Model)``, after ``from creditapp import db``. mypy does not accept an attribute of
# the extension as a base class; Flask-SQLAlchemy's maintainers recommend this.
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


def init_app(app: Flask, url: str) -> None:
    """Bind the app to the database at ``url``, a SQLAlchemy URL."""
    options: dict[str, Any] = {
        # Error texts are logged; user input and email addresses must not be.
        "hide_parameters": True,
        # The connection used last has its pages and plans at hand; in turn all would be cold.
        "pool_use_lifo": True,
    }
    if url.startswith("sqlite"):
        # One connection per thread; the retry below replaces the driver's own waiting.
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
        app.extensions[_WRITER] = writer(db.engine)


def prepare_engine(engine: Engine) -> None:
    """Install the listeners for new connections, the start of transactions, and writes."""
    event.listen(engine, "before_cursor_execute", _refuse_write_outside_transaction)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", sqlite_waits.prepare_connection)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        postgresql_session.set_session(engine)
        postgresql_session.ping_idle_connections(engine)


def writer(engine: Engine) -> Engine:
    """Return the engine with the option to write: to make it costs as much as a statement."""
    if WRITES in engine.get_execution_options():
        return engine
    return engine.execution_options(**{WRITES: True})


def require_transaction(connection: Connection) -> None:
    """Raise ``WriteOutsideTransaction`` unless ``transaction()`` opened this connection."""
    if WRITES not in connection.get_execution_options():
        raise WriteOutsideTransaction


def _refuse_write_outside_transaction(
    connection: Connection, _cursor: object, statement: str, *_: object
) -> None:
    if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
        require_transaction(connection)


def _begin_sqlite(connection: Connection) -> None:
    begin = "BEGIN IMMEDIATE" if WRITES in connection.get_execution_options() else "BEGIN"
    # Straight to the driver: through SQLAlchemy it is a fifth of a transaction's cost (measured).
    cursor = connection.connection.cursor()
    try:
        sqlite_waits.retry_while_busy(partial(cursor.execute, begin))
    except sqlite3.Error as error:
        raise OperationalError(begin, None, error) from error


@contextmanager
def transaction(engine: Engine | None = None) -> Iterator[Session]:
    """Open a write transaction and commit it at the end; an exception rolls it back.

    The request's read session is closed first: it would hold an old snapshot, and on SQLite a
    second connection. READ COMMITTED on PostgreSQL, BEGIN IMMEDIATE on SQLite. Never wait for the
    network inside it.
    """
    is_apps_own = engine is None
    if engine is None:
        stop_reading()
        engine = current_app.extensions[_WRITER]
    with (
        sqlite_waits.one_writer(engine),
        writer(engine).connect() as connection,
        connection.begin(),
        Session(bind=connection, expire_on_commit=False, autoflush=True) as session,
    ):
        yield session
        session.flush()
    if is_apps_own:
        for action in session.info.get(_AFTER_COMMIT, ()):
            action()


def after_commit(session: Session, action: Callable[[], object]) -> None:
    """Call ``action`` once the app's transaction is committed; never if it is rolled back.

    It must not raise: the transaction's work is done.
    """
    session.info.setdefault(_AFTER_COMMIT, []).append(action)


def reading() -> Session:
    """Return the request's read session; ``transaction`` or the end of the request closes it.

    A write through it raises ``WriteOutsideTransaction``.
    """
    return db.session()


def stop_reading() -> None:
    """Close the request's read session before waiting for the network or a job.

    Loaded objects stay usable. An open read holds a connection and, on SQLite, an old snapshot.
    """
    db.session.close()


@contextmanager
def snapshot() -> Iterator[Session]:
    """Open a short read session of its own; its objects stay usable afterwards."""
    with db.engine.connect() as connection, Session(bind=connection) as session:
        yield session
        session.expunge_all()


def insert_once(session: Session, row: Model, unique: Sequence[str] = ()) -> bool:
    """Insert a row unless one with the same ``unique`` columns exists; return whether it was new.

    Without columns, any unique key of the table counts. On PostgreSQL it waits for a concurrent
    insert to commit, so that the loser then sees the winner's row.
    """
    table = type(row).__table__
    values = {
        column.key: value
        for column in table.columns
        if (value := getattr(row, column.key)) is not None
    }
    # Values are passed apart from the statement, so that its compiled form is cached.
    statement = insert(session, type(row)).on_conflict_do_nothing(index_elements=unique or None)
    # RETURNING, because drivers need not count the rows of an INSERT.
    inserted = session.connection().execute(statement.returning(*table.primary_key), values)
    return inserted.first() is not None


def insert(session: Session, model: type[Model]) -> postgresql.Insert | sqlite.Insert:
    """Return the database's own INSERT, which has ``on_conflict_do_update``."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert(model) if is_postgresql else sqlite.insert(model)


def update_if(
    session: Session, row: Model, /, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    """Compare-and-set: change a row if it meets the conditions; return whether it was changed.

    One UPDATE, by the primary key and the conditions, so of two at once only one succeeds. The
    object, of this session or of none, gets the same values; a SQL expression as a value is left
    out, because its result is not read.
    """
    model = type(row)
    mapper = inspect(model)
    keys = zip(mapper.primary_key, mapper.primary_key_from_instance(row), strict=True)
    by_key = (column == key for column, key in keys)
    session.flush()
    statement = update(model).where(*by_key, *conditions).values(values)
    if session.connection().execute(statement).rowcount == 0:
        return False
    for name, value in values.items():
        if not isinstance(value, ClauseElement):
            set_committed_value(row, name, value)
    return True
