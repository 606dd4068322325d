"""The client of the Model Context Protocol's own SDK uses a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.api_server import ApiServer, running
from tests.interop.conftest import RunNode


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started


def test_the_protocols_own_client_lists_prices_makes_and_reads(
    server: ApiServer, node: RunNode
) -> None:
    key = server.new_key("read", "generate")
    printed = json.loads(node("mcp.mjs", server.url, API_KEY=key))
    assert printed["balance"] == server.balance(key) == 49, "two images of half a credit, once"
    listed = server.call(key, "GET", "/api/generations")["items"]
    assert [each["id"] for each in listed] == [printed["id"]]
