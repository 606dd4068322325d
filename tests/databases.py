"""Databases of the tests: one of each kind for a process, emptied before each test.

A new database with the whole schema costs a second, deleting the rows of a test some milliseconds.
"""

from __future__ import annotations

import functools
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, TextClause, create_engine, event, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError

from creditapp.db import db, prepare_engine, transaction
from creditapp.runtime import migrate

T = TypeVar("T")

POSTGRESQL_SERVER = os.environ.get(
    "TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
"""A superuser's URL: emptying a database switches the ledger's triggers off for a moment."""

NOTHING_MAY_BE_SKIPPED = os.environ.get("CREDITAPP_TEST_ALL") == "1"


def lacking(what: str, how: str) -> None:
    """Skip by name, with the line that installs it; fail where nothing may be skipped."""
    message = f"{what} is missing; {how}"
    if NOTHING_MAY_BE_SKIPPED:
        pytest.fail(message)
    pytest.skip(message)


@functools.cache
def postgresql_server() -> Engine:
    """Return an engine on the server's maintenance database, outside transactions."""
    engine = create_engine(POSTGRESQL_SERVER, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError:
        lacking("PostgreSQL on 127.0.0.1:5432", "apt-get install postgresql, then start it")
    return engine


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a new database without tables: a file in ``folder``, or on the server."""
    name = f"creditapp_test_{secrets.token_hex(6)}"
    if kind == "sqlite":
        yield f"sqlite:///{folder / name}.sqlite"
        return
    server = postgresql_server()
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(POSTGRESQL_SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def connect(url: str, *, connections_max: int = 50) -> Engine:
    """Return an engine as the app would open it, with fewer connections to PostgreSQL if told."""
    if url.startswith("sqlite"):
        options = {"timeout": 0, "check_same_thread": False}
        engine = create_engine(url, connect_args=options, pool_size=20, max_overflow=60)
    else:
        size = min(10, connections_max)
        engine = create_engine(url, pool_size=size, max_overflow=connections_max - size)
    prepare_engine(engine)
    hurry(engine)
    return engine


def hurry(engine: Engine) -> None:
    """Let SQLite not wait for the disk: no test cuts the power, and nobody's data is at stake."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA synchronous=OFF"))


class Databases:
    """One database of each kind with the whole schema, made when a test first needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._closing = ExitStack()
        self._engines: dict[str, Engine] = {}

    def fresh(self, kind: str) -> Engine:
        """Return an engine on the database of a kind, without any rows."""
        if kind not in self._engines:
            url = self._closing.enter_context(new_database(kind, self._folder))
            engine = self._engines[kind] = connect(url)
            self._closing.callback(engine.dispose)
            with transaction(engine) as session:
                migrate.create_all(session.connection())
        with transaction(self._engines[kind]) as session:
            _delete_rows(session.connection())
        return self._engines[kind]

    def close(self) -> None:
        """Drop what was made."""
        self._closing.close()


@functools.cache
def _names_of_used_tables() -> TextClause:
    return text(
        " UNION ALL ".join(
            f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})"
            for table in db.metadata.sorted_tables
        )
    )


@functools.cache
def _delete_rows_of_postgresql() -> str:
    """Return one statement: a round trip for each table takes longer than to empty it."""
    deletions = [
        "SET LOCAL lock_timeout = '20s'",  # a test left a transaction open
        "SET LOCAL session_replication_role = replica",  # no triggers
    ]
    for table in db.metadata.sorted_tables:
        column = table.autoincrement_column
        counter = (
            f"pg_get_serial_sequence('{table}', '{column.name}')" if column is not None else ""
        )
        restart = f"PERFORM setval({counter}, 1, false); " if counter else ""
        deletions.append(
            f"IF EXISTS (SELECT FROM {table}) THEN DELETE FROM {table}; {restart}END IF"
        )
    return f"DO $$ BEGIN {'; '.join(deletions)}; END $$"


def _delete_rows(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_delete_rows_of_postgresql())
        return
    used = connection.scalars(_names_of_used_tables()).all()
    triggers = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    ).all()
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    for name, _ in triggers if used else ():
        connection.execute(text(f"DROP TRIGGER {name}"))
    for name in used:
        connection.execute(text(f"DELETE FROM {name}"))
    for _, sql in triggers if used else ():
        connection.exec_driver_sql(sql)


def at_once(count: int, act: Callable[[int], T]) -> list[T | Exception]:
    """Call ``act(0)`` to ``act(count - 1)`` in threads that start together; return what came."""
    barrier = threading.Barrier(count)

    def one(number: int) -> T | Exception:
        barrier.wait()
        try:
            return act(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
