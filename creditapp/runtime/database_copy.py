"""Copies of a database in use: SQLite's online backup, or pg_dump and pg_restore.

A copy is of one moment: its rows are counted and proved on the snapshot that is copied.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, cast

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from creditapp.config import SettingsInvalid
from creditapp.postgresql import set_session

_JOBS_SCHEMA: Final = "dbos"
_LOCK_WAIT_SECONDS: Final = 60


class CopyFailed(Exception):
    """A copy that could not be made or restored; its text is one line that says what to do."""


@contextmanager
def snapshot_of(url: str) -> Iterator[Connection]:
    """Yield a connection that sees one moment of the database, without blocking its writers."""
    engine = _engine(url)
    try:
        with _connect(engine) as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
                # The snapshot begins with the first read.
                connection.exec_driver_sql("SELECT COUNT(*) FROM sqlite_master")
            else:
                # The session waits for pg_dump, however long that takes.
                connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
                connection.exec_driver_sql("SET statement_timeout = 0")
                connection.commit()
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
            yield connection
    finally:
        engine.dispose()


def copy(connection: Connection, target: Path, environ: Mapping[str, str]) -> None:
    """Write the database of a snapshot to a new file that only this user can read."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
    if connection.dialect.name == "sqlite":
        source = cast(sqlite3.Connection, connection.connection.driver_connection)
        copy_sqlite(source, target)
        return
    dumper, server = client_version("pg_dump", environ), server_version(connection)
    if dumper < server:
        raise CopyFailed(
            f"pg_dump {dumper} cannot read PostgreSQL {server}: install postgresql-client-{server}."
        )
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    _run_client(
        "pg_dump",
        connection.engine,
        environ,
        "--format=custom",
        f"--snapshot={snapshot}",
        f"--exclude-schema={_JOBS_SCHEMA}",
        "--encoding=UTF8",
        "--no-owner",
        "--no-privileges",
        f"--lock-wait-timeout={_LOCK_WAIT_SECONDS}s",
        f"--file={target}",
    )


def copy_sqlite(source: sqlite3.Connection, target: Path) -> None:
    """Copy an SQLite database and check the copy's pages."""
    with closing(sqlite3.connect(target)) as copied:
        # All pages in one step: after a writer's commit between two steps it would begin again.
        source.backup(copied)
        # One file, without a log beside it.
        copied.execute("PRAGMA journal_mode=DELETE")
        result = copied.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if result != "ok":
        raise CopyFailed(f"SQLite's integrity check of the copy says: {result.splitlines()[0]}")


def restore(url: str, source: Path, server: int, environ: Mapping[str, str]) -> None:
    """Restore a copy of ``server``'s version into the empty PostgreSQL database at ``url``.

    In one transaction: a restore that is cut leaves the database empty.
    """
    engine = _engine(url)
    try:
        with _connect(engine) as connection:
            target = server_version(connection)
        if target < server:
            raise CopyFailed(
                f"The backup is of PostgreSQL {server} and DATABASE_URL names PostgreSQL {target}: "
                f"restore into {server} or newer."
            )
        client = client_version("pg_restore", environ)
        if client < server:
            raise CopyFailed(
                f"pg_restore {client} may not read a backup of PostgreSQL {server}: install "
                f"postgresql-client-{server}."
            )
        _run_client(
            "pg_restore",
            engine,
            environ,
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            str(source),
        )
    finally:
        engine.dispose()


def tables(url: str) -> list[str]:
    """Return the names of the database's tables; none for an SQLite file that does not exist."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return []
    engine = _engine(url)
    try:
        with _connect(engine) as connection:
            return table_names(connection)
    finally:
        engine.dispose()


def table_names(connection: Connection) -> list[str]:
    """Return the names of the tables that a connection sees, in their order."""
    return sorted(inspect(connection).get_table_names())


def count_rows(connection: Connection) -> dict[str, int]:
    """Return the number of rows of every table."""
    return {
        name: connection.execute(text(f'SELECT COUNT(*) FROM "{name}"')).scalar_one()  # noqa: S608
        for name in table_names(connection)
    }


def server_version(connection: Connection) -> int:
    """Return the major version of the PostgreSQL server, or of SQLite."""
    version = connection.dialect.server_version_info
    assert version is not None  # every connection reads it
    return int(version[0])


def client_version(program: str, environ: Mapping[str, str]) -> int:
    """Return the major version of PostgreSQL's client program; raise ``CopyFailed`` without it."""
    try:
        said = subprocess.run(  # noqa: S603  # a fixed name and option
            [program, "--version"], env=dict(environ), capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        raise CopyFailed(
            f"{program} is missing: apt-get install postgresql-client, of the server's version."
        ) from None
    match = re.search(r"\) (\d+)", said)
    assert match is not None, said
    return int(match[1])


def _run_client(program: str, engine: Engine, environ: Mapping[str, str], *words: str) -> None:
    """Run PostgreSQL's client program on the engine's database."""
    named = engine.url.translate_connect_args(database="dbname", username="user")
    options = {**named, **engine.url.query}
    password = options.pop("password", None)
    # In the environment, because other users of the machine can read the arguments of a program.
    secret = {"PGPASSWORD": password} if password else {}
    ended = subprocess.run(  # noqa: S603  # no shell
        [program, f"--dbname={make_conninfo(**options)}", "--no-password", *words],
        # Its messages in the language in which the line of the error is looked for.
        env={**environ, **secret, "LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if "error:" in line] or ["failed"]
        raise CopyFailed(lines[0])


def _engine(url: str) -> Engine:
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    if engine.dialect.name == "postgresql":
        set_session(engine)
    elif not Path(engine.url.database or "").exists():
        raise CopyFailed(f"There is no database at {engine.url.database}.")
    return engine


def _connect(engine: Engine) -> Connection:
    try:
        return engine.connect()
    except OperationalError:
        raise SettingsInvalid("DATABASE_URL: the database cannot be opened.") from None
