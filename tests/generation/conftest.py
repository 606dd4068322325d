"""An app with a scripted provider, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from creditapp.generation import recovery
from creditapp.generation.providers import Providers
from tests.app_factory import Person
from tests.generation.studio import Scripted, Studio
from tests.shared_app import member, newcomer, shared_app


@pytest.fixture(scope="session")
def clock() -> StoppedClock:
    """The clock of all these tests; only a test moves it."""
    return StoppedClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def shared_provider() -> Scripted:
    return Scripted()


@pytest.fixture
def provider(shared_provider: Scripted) -> Scripted:
    """The provider of every model; it delivers every order until a test scripts otherwise."""
    shared_provider.forget()
    return shared_provider


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    clock: StoppedClock,
    shared_provider: Scripted,
) -> Iterator[Flask]:
    """The app on one database of each kind, with the scripted provider."""
    kind: str = request.param
    server = request.getfixturevalue("postgresql_server") if kind == "postgresql" else None
    providers = Providers({}, offline=shared_provider)
    folder = tmp_path_factory.mktemp(kind)
    with shared_app(server, folder, clock=clock, providers=providers) as app:
        yield app


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the watch of lapsed leases: these tests' clock does not move by itself."""
    monkeypatch.setattr(recovery, "WATCH_SECONDS", 0.0)


@pytest.fixture
def studio(app: Flask, clock: StoppedClock, provider: Scripted) -> Iterator[Studio]:
    """Access to rows and media files; every open generation is ended afterwards."""
    studio = Studio(app, clock)
    yield studio
    provider.forget()
    studio.end_everything()


@pytest.fixture
def alice(app: Flask) -> Person:
    """A member with 50 welcome credits."""
    return member(app, "alice")


@pytest.fixture
def charlie(app: Flask) -> Person:
    """Another member, who must not see what Alice owns."""
    return member(app, "charlie")


@pytest.fixture
def guest(app: Flask) -> Person:
    """A guest, alone in a network."""
    return newcomer(app)
