"""One app for a module's tests, with people of its own for each: a new database costs seconds."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import Engine, make_url

from tests.app_factory import POSTGRESQL_SERVER, Person, build_app, close_app

_numbers = itertools.count(1)


@contextmanager
def shared_app(server: Engine | None, folder: Path, **doors: Any) -> Iterator[Flask]:
    """Yield an app on a new database: PostgreSQL on ``server``, else SQLite in ``folder``."""
    if server is None:
        app = build_app(f"sqlite:///{folder / 'creditapp.sqlite'}", folder, **doors)
        yield app
        close_app(app)
        return
    name = f"creditapp_test_{secrets.token_hex(6)}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(POSTGRESQL_SERVER).set(database=name).render_as_string(hide_password=False)
    app = build_app(url, folder, **doors)
    yield app
    close_app(app)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def newcomer(app: Flask) -> Person:
    """Return somebody nobody has seen, from a network nobody has called from."""
    person = Person(app)
    number = next(_numbers)
    person.browser.environ_base["REMOTE_ADDR"] = (
        f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    )
    return person


def member(app: Flask, name: str) -> Person:
    """Return somebody with a new account and its 50 welcome credits."""
    return newcomer(app).sign_up(f"{name}-{next(_numbers)}@example.com")
