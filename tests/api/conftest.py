"""The app and people of the generation tests, and callers that check each response."""

from __future__ import annotations

import pytest

from tests.api.assistant import Assistant
from tests.api.contract import Program
from tests.app_factory import Person
from tests.generation.conftest import alice, app, charlie, guest, provider, studio

__all__ = ["alice", "app", "charlie", "guest", "provider", "studio"]


@pytest.fixture
def api(alice: Person) -> Program:
    """Alice's program; each response is checked against the OpenAPI document."""
    return Program(alice)


@pytest.fixture
def guest_api(guest: Person) -> Program:
    """A guest's program."""
    return Program(guest)


@pytest.fixture
def assistant(alice: Person) -> Assistant:
    """Alice's assistant, with a key that may do everything."""
    return Assistant(alice)
