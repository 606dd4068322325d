"""Pages: of a member with a long history beside a newcomer's, on each database, in one thread.

The newcomer has a page of everything, so that both see as many rows.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text

from bench.history import write_history
from bench.servers import databases, environ_of
from creditapp import accounts, create_app
from creditapp.accounts import AccountRules
from creditapp.clock import now
from creditapp.config import load_settings
from creditapp.db import db, transaction
from creditapp.generation.providers import Providers
from creditapp.runtime import migrate
from creditapp.services import get

PATHS = (
    "/",
    "/?operation=video&seconds=8",
    "/credits",
    "/dashboard",
    "/dashboard?type=bought",
    "/dashboard?type=spent",
    "/gallery",
    "/settings",
    "/api/credits",
    "/api/credits/transactions",
    "/api/generations",
)
LONG = {"entries": 100_000, "images": 5_000}
SHORT = {"entries": 60, "images": 30, "purchase_every": 2}
ROUNDS = 25
QUERIES_MAX = 12
BYTES_MAX = 40 * 1024
PASSWORD = "correct horse battery"  # of people who exist for a minute


def main() -> None:
    """Print each page, and exit 1 where one passes its limit of queries or bytes."""
    print(
        f"\nPages of a member with {LONG['entries']:,} entries and {LONG['images']:,} images,"
        " beside a newcomer's"
    )
    print(f"{'':<44} {'new ms':>8} {'long ms':>8} {'ratio':>6} {'queries':>8} {'KB br':>6}")
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as urls:
        for kind, url in urls.items():
            _measure(kind, url, Path(folder) / kind)


def _measure(kind: str, url: str, folder: Path) -> None:
    app = build(url, folder)
    newcomer, veteran = (
        _sign_up(app, name, size) for name, size in (("newcomer", SHORT), ("veteran", LONG))
    )
    with app.app_context(), db.engine.connect() as connection:
        outside = connection.execution_options(isolation_level="AUTOCOMMIT")
        outside.execute(text("ANALYZE" if kind == "SQLite" else "VACUUM ANALYZE"))
    for path in PATHS:
        with _queries(app) as queries:
            answer = veteran.get(path, headers={"Accept-Encoding": "br"})
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        few_ms, many_ms = _milliseconds(path, newcomer, veteran)
        print(
            f"{f'{kind} {path}':<44} {few_ms:>8.2f} {many_ms:>8.2f} {many_ms / few_ms:>6.2f}"
            f" {len(queries):>8} {len(answer.data) / 1024:>6.1f}"
        )
        if len(queries) > QUERIES_MAX or len(answer.data) > BYTES_MAX:
            raise SystemExit(f"{path} passes its limit: {QUERIES_MAX} queries, {BYTES_MAX} bytes")
    began = time.perf_counter()
    size = sum(
        len(piece) for piece in veteran.get("/dashboard/history.csv", buffered=False).response
    )
    spent_ms = (time.perf_counter() - began) * 1000
    print(f"{f'{kind} /dashboard/history.csv':<44} {'':>8} {spent_ms:>8.0f} {size / 1e6:>13.1f} MB")
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def build(url: str, folder: Path, providers: Providers | None = None) -> Flask:
    """Return an app on an empty database."""
    environ = {**environ_of(url), "CREDITAPP_DATA": str(folder)}
    app = create_app(load_settings(environ), providers=providers)
    with app.app_context(), transaction() as session:
        migrate.create_all(session.connection())
    return app


def _sign_up(app: Flask, name: str, size: dict[str, int]) -> FlaskClient:
    """Open an account with a history; return a browser that is signed in."""
    email = f"{name}@example.com"
    with app.app_context():
        new_account = accounts.prepare_account(email, PASSWORD, name)
        with transaction() as session:
            user = accounts.sign_up(session, new_account, get(AccountRules), now=now()).user
            connection = session.connection()
            write_history(connection, user.id, **size, now=now())
    browser = app.test_client()
    form = browser.get("/auth/login").text
    token = re.findall(r'name="csrf_token" value="([^"]+)"', form)[0]
    fields = {"csrf_token": token, "email": email, "password": PASSWORD}
    answer = browser.post("/auth/login", data=fields)
    if answer.status_code != 303:
        raise RuntimeError(f"no session: {answer.status_code}")
    return browser


@contextmanager
def _queries(app: Flask) -> Iterator[list[str]]:
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


def _milliseconds(path: str, *browsers: FlaskClient) -> list[float]:
    """Return the fastest time of a page in each browser, which other load disturbs least."""
    times: list[list[float]] = [[] for _ in browsers]
    for _ in range(ROUNDS):
        for browser, of in zip(browsers, times, strict=True):
            began = time.perf_counter()
            browser.get(path)
            of.append((time.perf_counter() - began) * 1000)
    return [min(of) for of in times]


if __name__ == "__main__":
    main()
