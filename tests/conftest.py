"""What every test may use: fresh databases of both kinds, and the app on them."""

from __future__ import annotations

import os
import secrets
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from creditapp import create_app, schema
from creditapp.clock import StoppedClock
from creditapp.config import load_settings
from creditapp.db import db, transaction
from creditapp.emails import Message
from creditapp.jobs.engine import JobStore
from creditapp.jobs.registry import handlers
from creditapp.wiring import provide, the

POSTGRESQL_SERVER = os.environ.get(
    "TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOTHING_MAY_BE_SKIPPED = os.environ.get("CREDITAPP_TEST_ALL") == "1"


def lacking(what: str, how: str) -> None:
    """Skip by name, with the line that installs it; fail where nothing may be skipped."""
    message = f"{what} is missing; {how}"
    if NOTHING_MAY_BE_SKIPPED:
        pytest.fail(message)
    pytest.skip(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long proofs, or one core ends with them while the other has nothing left."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out and why: one line for each thing that this machine lacks."""
    lacks: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        lacks[str(report.longrepr[2]).removeprefix("Skipped: ")].append(report.nodeid)
    for reason, names in lacks.items():
        files = sorted({name.partition("::")[0].removeprefix("tests/") for name in names})
        terminalreporter.section(f"{len(names)} tests left out: {reason}")
        terminalreporter.line(", ".join(files))


@pytest.fixture(scope="session")
def postgresql_server() -> Engine:
    """An engine on the server's maintenance database, outside transactions."""
    engine = create_engine(POSTGRESQL_SERVER, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError:
        lacking("PostgreSQL on 127.0.0.1:5432", "apt-get install postgresql, then start it")
    return engine


# One for the whole run: Playwright allows a single one in a process.
@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium from the system's packages."""
    if not Path(CHROMIUM).exists():
        lacking("Chromium", "apt-get install --no-install-recommends chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'creditapp.sqlite'}"


@pytest.fixture
def postgresql_url(postgresql_server: Engine) -> Iterator[str]:
    """The address of a fresh PostgreSQL database, dropped afterwards."""
    name = f"creditapp_test_{secrets.token_hex(6)}"
    with postgresql_server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(POSTGRESQL_SERVER).set(database=name).render_as_string(hide_password=False)
    with postgresql_server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database; the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


class Queue(JobStore):
    """The jobs of a test: they wait until the test runs them, in this thread, in their order."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.seen: set[tuple[str, str]] = set()
        self.waiting: deque[tuple[str, str]] = deque()

    def put(self, name: str, row_id: str, **_options: object) -> None:
        """Queue a job once by name and id, as the real store does."""
        if (name, row_id) not in self.seen:
            self.seen.add((name, row_id))
            self.waiting.append((name, row_id))

    def run(self) -> int:
        """Run what waits, and what that queues in turn; return how many jobs ran."""
        ran = 0
        while self.waiting:
            name, row_id = self.waiting.popleft()
            with self.app.app_context():
                handlers[name].work(row_id)
            ran += 1
        return ran


class Outbox:
    """A mailer that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep the mail."""
        self.sent.append(message)


@pytest.fixture
def clock() -> StoppedClock:
    """The app's clock: it stands until the test moves it."""
    return StoppedClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


@pytest.fixture
def outbox() -> Outbox:
    """Where the app's mails end up."""
    return Outbox()


@pytest.fixture
def app(database_url: str, tmp_path: Path, clock: StoppedClock, outbox: Outbox) -> Iterator[Flask]:
    """The app on a fresh database of each kind, with the offline provider and the sandbox."""
    app = build_app(database_url, tmp_path, clock=clock, mailer=outbox)
    yield app
    close_app(app)


@pytest.fixture
def sqlite_app(
    sqlite_url: str, tmp_path: Path, clock: StoppedClock, outbox: Outbox
) -> Iterator[Flask]:
    """The app on SQLite alone: for pages and words, which no database changes."""
    app = build_app(sqlite_url, tmp_path, clock=clock, mailer=outbox)
    yield app
    close_app(app)


def build_app(url: str, folder: Path, environ: dict[str, str] | None = None, **doors: Any) -> Flask:
    """Return an app on an empty database with its schema made, whose jobs wait for the test."""
    settings = load_settings(
        {
            "CREDITAPP_ENV": "testing",
            "CREDITAPP_DATA": str(folder / "data"),
            "DATABASE_URL": url,
            "SECRET_KEY": "a key that only the tests know, long enough",
            "SITE_URL": "http://localhost",
            "CREDITAPP_LOG_LEVEL": "warning",
            **(environ or {}),
        }
    )
    app = create_app(settings, **doors)
    with app.app_context():
        provide(app, JobStore, Queue(app))
        with transaction() as session:
            schema.create_all(session.connection())
    return app


def close_app(app: Flask) -> None:
    """Give the app's connections back, so that its database can be dropped."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def queue(app: Flask) -> Queue:
    """The app's waiting jobs."""
    with app.app_context():
        store = the(JobStore)
    assert isinstance(store, Queue)
    return store


# pytest-flask keeps a request open around every test and gives the client its context; Flask-Login
# remembers the user there, so that a client without a session would pass for the last one's.
@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Push nothing."""


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript and without a session."""
    return app.test_client()


class Person:
    """Somebody with a browser: gets forms with their tokens, fills them in, posts them."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.browser = app.test_client()

    def token(self) -> str:
        """Return the CSRF token of this browser's session."""
        page = self.browser.get("/auth/forgot").text
        return page.split('name="csrf_token" value="')[1].split('"')[0]

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> TestResponse:
        """Post a form as a page of ours would."""
        data = {"csrf_token": self.token(), **(fields or {})}
        return self.browser.post(path, data=data, **options)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        """Call the JSON API from this browser's own pages."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.browser.open(
            path, method=method, json=body, headers={"Sec-Fetch-Site": "same-origin", **named}
        )

    def sign_up(self, email: str, password: str = "correct horse battery") -> Person:
        """Open an account and stay signed in."""
        answer = self.post("/auth/signup", {"email": email, "password": password, "next": "/"})
        assert answer.status_code == 303, answer.text
        return self

    def balance(self) -> Any:
        """Return the balance that the API tells."""
        return self.call("GET", "/api/credits").json["credits"]["balance"]


@pytest.fixture
def guest(app: Flask) -> Person:
    """Somebody without an account."""
    return Person(app)


@pytest.fixture
def alice(app: Flask) -> Person:
    """Alice has an account with its 50 welcome credits."""
    return Person(app).sign_up("alice@example.com")


@pytest.fixture
def charlie(app: Flask) -> Person:
    """Charlie has an account too, and must not see what is Alice's."""
    return Person(app).sign_up("charlie@example.com")
