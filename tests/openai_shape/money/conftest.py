"""The app with scripted vendors of images, speech and chat, and a program that calls it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from creditapp.api.waiting import WaitingSlots
from creditapp.chat import ChatProviders, ChatSlots
from creditapp.chat import recovery as chat_recovery
from creditapp.clock import StoppedClock
from creditapp.generation import recovery
from creditapp.generation.providers import Providers
from creditapp.services import provide
from tests.app_factory import Person, member
from tests.chat.scripted import ScriptedChat, Turns
from tests.generation.studio import Scripted, Studio
from tests.openai_shape.shop import V1Program, working


@pytest.fixture
def images() -> Scripted:
    """The provider of images and speech."""
    provider = Scripted()
    provider.milliseconds = 1000
    return provider


@pytest.fixture
def chats() -> ScriptedChat:
    """The provider of chat."""
    return ScriptedChat()


@pytest.fixture
def app(
    app: Flask, images: Scripted, chats: ScriptedChat, monkeypatch: pytest.MonkeyPatch
) -> Flask:
    """The app with both, and with room for many at once."""
    provide(app, Providers, Providers({}, offline=images))
    provide(app, ChatProviders, chats)
    provide(app, WaitingSlots, WaitingSlots(threads=64))
    provide(app, ChatSlots, ChatSlots(threads=128))
    for module in (recovery, chat_recovery):
        monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    return app


@pytest.fixture
def alice(app: Flask) -> Person:
    """A member with 50 welcome credits."""
    return member(app, "alice")


@pytest.fixture
def turns(app: Flask, clock: StoppedClock) -> Turns:
    """Access to what chat left."""
    return Turns(app, clock)


@pytest.fixture
def studio(app: Flask, clock: StoppedClock) -> Studio:
    """Access to generations."""
    return Studio(app, clock)


@pytest.fixture
def program(alice: Person, studio: Studio, turns: Turns) -> Iterator[V1Program]:
    """A program with a key; jobs run while it calls. Afterwards the ledger's proof holds."""
    with working(studio.queue):
        yield V1Program(alice)
    studio.queue.run()
    turns.check()
