"""An app with a scripted provider, on both databases."""

from __future__ import annotations

import pytest
from flask import Flask

from creditapp.clock import StoppedClock
from creditapp.generation import recovery
from creditapp.generation.providers import Providers
from creditapp.services import provide
from tests.app_factory import Person, member, newcomer
from tests.generation.studio import Scripted, Studio


@pytest.fixture
def provider() -> Scripted:
    """The provider of every model; it delivers every order until a test scripts otherwise."""
    return Scripted()


@pytest.fixture
def app(app: Flask, provider: Scripted) -> Flask:
    """The app with the scripted provider."""
    provide(app, Providers, Providers({}, offline=provider))
    return app


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the watch of lapsed leases: these tests' clock does not move by itself."""
    monkeypatch.setattr(recovery, "WATCH_SECONDS", 0.0)


@pytest.fixture
def studio(app: Flask, clock: StoppedClock) -> Studio:
    """Access to rows and media files."""
    return Studio(app, clock)


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
