"""A database that a module's tests share and empty, and callers that start at the same moment."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from creditapp import accounts, emails, guests
from creditapp.db import db, prepare_engine, transaction
from creditapp.ledger import models as ledger_models

T = TypeVar("T")

OWNERS_OF_TABLES = (accounts, emails, guests, ledger_models)
"""Imported so that the metadata knows their tables."""


def connect(url: str) -> Engine:
    """Return an engine as the app would open it."""
    if url.startswith("sqlite"):
        options = {"timeout": 0, "check_same_thread": False}
        engine = create_engine(url, connect_args=options, pool_size=20, max_overflow=60)
    else:
        engine = create_engine(url, pool_size=10, max_overflow=40)
    prepare_engine(engine)
    return engine


@contextmanager
def database(server: Engine | None, folder: Path) -> Iterator[Engine]:
    """Yield an engine on a new database with every table: PostgreSQL on ``server``, else SQLite.

    Making one takes a second there, so that tests share it and call ``empty`` instead. The
    ledger's triggers are left out, which would refuse that.
    """
    name = f"creditapp_test_{secrets.token_hex(6)}"
    url = f"sqlite:///{folder / name}.sqlite"
    if server is not None:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        url = server.url.set(database=name).render_as_string(hide_password=False)
    engine = connect(url)
    try:
        with transaction(engine) as session:
            db.metadata.create_all(session.connection())
        yield engine
    finally:
        engine.dispose()
        if server is not None:
            with server.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def empty(engine: Engine) -> None:
    """Delete every row of every table."""
    with transaction(engine) as session:
        for table in reversed(db.metadata.sorted_tables):
            session.execute(table.delete())


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
