"""The client of the Model Context Protocol's own SDK uses a real server."""

from __future__ import annotations

import json

from tests.api_server import ApiServer
from tests.interop.conftest import RunNode


def test_the_protocols_own_client_lists_prices_makes_and_reads(
    server: ApiServer, node: RunNode
) -> None:
    key = server.new_key("read", "generate")
    printed = json.loads(node("mcp.mjs", server.url, API_KEY=key))
    assert printed["balance"] == server.balance(key) == 49, "two images of half a credit, once"
    listed = server.call(key, "GET", "/api/generations")["items"]
    assert [each["id"] for each in listed] == [printed["id"]]
