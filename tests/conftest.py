"""Fixtures of all tests: fresh databases of both kinds, the app on them, and people."""

from __future__ import annotations

import gc
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from flask import Flask
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy.engine import Engine

from creditapp.accounts import passwords
from creditapp.clock import StoppedClock
from creditapp.generation.providers.offline import draw
from creditapp.logs import configure_logging
from tests.app_factory import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    START,
    Outbox,
    Person,
    Queue,
    SharedApps,
    build_app,
    close_app,
    get_clock,
    get_outbox,
    get_queue,
    plain_png,
)
from tests.databases import Databases, lacking, new_database
from tests.documented_answers import undocumented
from tests.shop_app import ShopApp
from tests.stripe_sandbox.contract import faults_of_answer
from tests.stripe_sandbox.sandbox_kit import Sandbox, Shop

SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
WHOLE = SOAK or os.environ.get("CREDITAPP_ATTACK") == "1"
"""Whether tests marked ``whole`` run."""
BOTH = ("sqlite", "postgresql")
FOLDERS_ON_BOTH = {
    *("accounts", "agents", "api", "chat", "credentials", "faults", "generation", "ledger"),
    *("payments", "webhooks_out"),
}
"""Their code is SQL. Elsewhere a test or a module is marked ``databases(*BOTH)`` to run on both."""
FOLDERS_IN_TURN = {
    *("accounts", "agents", "api", "chat", "credentials", "generation", "money", "payments"),
    *("web", "webhooks_out"),
}
"""Folders whose tests the check runs on one of the two each, and the soak on both; so a test or a
module that is marked ``in_turn``."""
MOVE_CREDITS = frozenset(
    f"{folder}/test_{name}"
    for folder, names in {
        "chat": ("many_at_once", "own_keys", "recovery", "turns"),
        "generation": (
            *("batches", "cancel", "charges", "delivery", "funding", "own_keys", "recovery"),
            *("settlement", "submit", "worker"),
        ),
        "payments": ("matrix",),
        "web": ("account_end_races",),
    }.items()
    for name in names
)
"""Modules of those folders that always run on both, as does a test that calls ``at_once``."""


# How long an example takes depends on what else the machine does.
settings.register_profile("creditapp", deadline=None)
settings.load_profile("creditapp")

RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_collection() -> None:
    """Collect no garbage while tests are collected: what is made then stays until the end."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Restore the recursion limit, which a library raises that tests of signed payments import.

    From here on the collector of garbage need not look through what is there.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a database on the kinds it is marked with, or its folder's."""
    if "database_kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("databases")
        path = metafunc.definition.path
        folder = path.parent.name
        default = BOTH if folder in FOLDERS_ON_BOTH else BOTH[:1]
        kinds = mark.args if mark else default
        in_turn = folder in FOLDERS_IN_TURN and f"{folder}/{path.stem}" not in MOVE_CREDITS
        in_turn = in_turn and "at_once" not in metafunc.function.__code__.co_names
        in_turn = in_turn or metafunc.definition.get_closest_marker("in_turn") is not None
        if in_turn and kinds == BOTH and not SOAK:
            turn = crc32(metafunc.definition.nodeid.encode()) % 2
            kinds = BOTH[turn : turn + 1]
        metafunc.parametrize("database_kind", kinds, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the soak runs; begin with the long proofs.

    Otherwise one core would end with them while the other has nothing left.
    """
    left_out = [] if WHOLE else [item for item in items if item.get_closest_marker("whole")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left_out)
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


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with a thousandth of the work: almost every test signs somebody up."""
    monkeypatch.setattr(passwords, "_MEMORY_KIB", 64)
    monkeypatch.setattr(passwords, "_ITERATIONS", 1)
    monkeypatch.setattr(passwords, "_PARAMETERS", "$argon2id$v=19$m=64,t=1,p=1$")


@pytest.fixture(autouse=True)
def _logs() -> None:
    """Write warnings, whatever the app of an earlier test was told: the logs are the process's."""
    configure_logging("warning", human=False)


@pytest.fixture(autouse=True)
def _answers_are_documented() -> Iterator[None]:
    """Fail a test in which a route answered with a status or a code that it does not name."""
    undocumented.clear()
    yield
    assert not undocumented, "\n".join(dict.fromkeys(undocumented))


@pytest.fixture(autouse=True)
def _plain_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the previews of this process one colour: a drawn scene takes as long as ten tests.

    The tests of the provider itself draw them. Servers that tests start do not either
    (``tests/processes.py``), but for those that are ``./run`` itself.
    """
    monkeypatch.setattr(draw, "draw_png", plain_png)


# One for the whole run: Playwright allows a single one in a process.
@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium from the system's packages."""
    if not CHROMIUM:
        packages = "chromium-headless-shell fonts-dejavu-core"
        lacking("Chromium", f"apt-get install --no-install-recommends {packages}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """One database of each kind, which ``fresh`` empties."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared_apps(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedApps]:
    """One app on each of them."""
    made = SharedApps(databases, tmp_path_factory.mktemp("apps"))
    yield made
    made.close()


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database of this run of the test: ``sqlite`` or ``postgresql``."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database of the test's own, without tables."""
    with new_database(database_kind, tmp_path) as url:
        yield url


@pytest.fixture
def engine(database_kind: str, databases: Databases) -> Engine:
    """An engine on an empty database with the whole schema."""
    return databases.fresh(database_kind)


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps) -> Flask:
    """The app on an empty database, with the offline provider and the payment sandbox.

    Tests share it; its rows, jobs, emails, media, services and settings are as new. The clock
    stands until the test moves it.
    """
    return shared_apps.fresh(database_kind)


@pytest.fixture
def own_app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An app that has served no request: for a test that adds routes or counts from zero."""
    app = build_app(database_url, tmp_path, clock=StoppedClock(START), mailer=Outbox())
    yield app
    close_app(app)


@pytest.fixture
def clock(app: Flask) -> StoppedClock:
    """The app's clock."""
    with app.app_context():
        return get_clock()


@pytest.fixture
def outbox(app: Flask) -> Outbox:
    """The emails that the app sent."""
    with app.app_context():
        return get_outbox()


@pytest.fixture
def queue(app: Flask) -> Queue:
    """The app's waiting jobs."""
    with app.app_context():
        return get_queue()


# pytest-flask keeps a request open around every test and gives the client its context; Flask-Login
# remembers the user there, so that a client without a session would pass for the last one's.
@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Push nothing."""


@pytest.fixture
def guest(app: Flask) -> Person:
    """A person without an account."""
    return Person(app)


@pytest.fixture
def alice(app: Flask) -> Person:
    """Alice has an account with its 50 welcome credits."""
    return Person(app).open_account("alice@example.com")


@pytest.fixture
def charlie(app: Flask) -> Person:
    """Charlie has an account too, and must not see what is Alice's."""
    return Person(app).open_account("charlie@example.com")


@pytest.fixture
def shop_app(app: Flask) -> Iterator[ShopApp]:
    """The app with the actions of buyers and bank; afterwards the ledger's invariants must hold."""
    shop_app = ShopApp(app)
    yield shop_app
    shop_app.check_ledger()


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
