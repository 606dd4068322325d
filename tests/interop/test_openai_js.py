"""OpenAI's official JavaScript client, unchanged but for ``baseURL`` and ``apiKey``."""

from __future__ import annotations

import json

from tests.api_server import ApiServer
from tests.interop.conftest import RunNode


def test_the_official_client_for_javascript_works_and_pays(
    server: ApiServer, node: RunNode
) -> None:
    key = server.new_key("generate", "read")
    printed = json.loads(node("openai.mjs", server.url, API_KEY=key))
    assert server.balance(key) == printed["remaining"]
