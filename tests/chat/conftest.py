"""An app whose language models run a script, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from creditapp.chat import ChatProviders, recovery
from creditapp.clock import StoppedClock
from creditapp.services import provide
from tests.app_factory import Person, member
from tests.chat.scripted import ScriptedChat, Turns


@pytest.fixture
def provider() -> ScriptedChat:
    """The provider of every language model; it answers until a test scripts otherwise."""
    return ScriptedChat()


@pytest.fixture
def app(app: Flask, provider: ScriptedChat) -> Flask:
    """The app with the scripted provider."""
    provide(app, ChatProviders, provider)
    return app


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the watch of lapsed leases: these tests' clock does not move by itself."""
    monkeypatch.setattr(recovery, "WATCH_SECONDS", 0.0)


@pytest.fixture
def turns(app: Flask, clock: StoppedClock) -> Iterator[Turns]:
    """Access to rows; afterwards every turn has ended, and the ledger's invariants hold."""
    made = Turns(app, clock)
    yield made
    made.check()


@pytest.fixture
def alice(app: Flask) -> Person:
    """A member with 50 welcome credits."""
    return member(app, "alice")


@pytest.fixture
def charlie(app: Flask) -> Person:
    """Another member, who must not see what Alice owns."""
    return member(app, "charlie")
