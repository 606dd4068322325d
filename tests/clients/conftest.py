"""A real server, and the client package with a key of a new member."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from creditapp_client import CreditApp, RetryPolicy

from tests.api_server import ApiServer, running
from tests.fakes.broken_connection import BrokenConnection, broken_connection


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture(scope="module")
def connection(server: ApiServer) -> Iterator[BrokenConnection]:
    with broken_connection(server.url) as opened:
        yield opened


Slept = list[float]


@pytest.fixture
def slept() -> Slept:
    """The seconds that the client would have slept."""
    return []


@pytest.fixture
def key(server: ApiServer) -> str:
    """A key of a new member with 50 credits."""
    return server.new_key("read", "generate", "spend")


@pytest.fixture
def client(server: ApiServer, key: str) -> CreditApp:
    return CreditApp(server.url, key)


@pytest.fixture
def over(
    connection: BrokenConnection, key: str, slept: Slept
) -> Callable[..., tuple[CreditApp, BrokenConnection]]:
    """Return a client whose connection breaks as the steps say."""

    def make(*steps: object, attempts: int = 4) -> tuple[CreditApp, BrokenConnection]:
        connection.script[:] = list(steps)  # type: ignore[arg-type]  # Steps
        connection.seen.clear()
        retries = RetryPolicy(attempts=attempts, sleep=slept.append)
        return CreditApp(connection.url, key, retries=retries, timeout=40), connection

    return make
