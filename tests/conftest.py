"""Fixtures of all tests: fresh databases of both kinds, the app on them, and people."""

from __future__ import annotations

import secrets
from collections import defaultdict
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

from creditapp.clock import StoppedClock
from creditapp.jobs.engine import JobStore
from creditapp.services import get
from tests.app_factory import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    POSTGRESQL_SERVER,
    Outbox,
    Person,
    Queue,
    build_app,
    close_app,
    lacking,
)
from tests.shop_app import ShopApp, open_shop_app
from tests.stripe_sandbox.contract import faults_of_answer
from tests.stripe_sandbox.sandbox_kit import Sandbox, Shop


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


@pytest.fixture
def clock() -> StoppedClock:
    """The app's clock: it stands until the test moves it."""
    return StoppedClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


@pytest.fixture
def outbox() -> Outbox:
    """The emails that the app sent."""
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


@pytest.fixture
def queue(app: Flask) -> Queue:
    """The app's waiting jobs."""
    with app.app_context():
        store = get(JobStore)
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


@pytest.fixture
def guest(app: Flask) -> Person:
    """A person without an account."""
    return Person(app)


@pytest.fixture
def alice(app: Flask) -> Person:
    """Alice has an account with its 50 welcome credits."""
    return Person(app).sign_up("alice@example.com")


@pytest.fixture
def charlie(app: Flask) -> Person:
    """Charlie has an account too, and must not see what is Alice's."""
    return Person(app).sign_up("charlie@example.com")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_shop_app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """One ShopApp for a module on each kind of database; opening one takes a second."""
    server = request.getfixturevalue("postgresql_server") if request.param != "sqlite" else None
    with open_shop_app(request.param, tmp_path_factory.mktemp("shop_app"), server) as made:
        yield made


@pytest.fixture
def shop_app(shared_shop_app: ShopApp) -> Iterator[ShopApp]:
    """The module's ShopApp, reset; afterwards the ledger's invariants must hold."""
    shared_shop_app.reset()
    yield shared_shop_app
    shared_shop_app.check_ledger()


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop that receives webhooks; what it received is Stripe's shape and signed."""
    made = Shop()
    yield made
    made.close()
    for each in made.received:
        assert not (faults := faults_of_answer(each.event)), "\n".join(faults)


@pytest.fixture
def sandbox(tmp_path: Path, shop: Shop) -> Iterator[Sandbox]:
    """A running sandbox that does not send webhooks until ``deliver()``."""
    made = Sandbox(tmp_path / "sandbox.sqlite", shop)
    yield made
    made.stop()
    assert not made.faults, "\n".join(dict.fromkeys(made.faults))
