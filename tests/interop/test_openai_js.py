"""OpenAI's official JavaScript client, unchanged but for ``baseURL`` and ``apiKey``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api_server import running
from tests.interop.conftest import RunNode


def test_the_official_client_for_javascript_works_and_pays(
    node: RunNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(Path(tmp_path_factory.mktemp("openai-js"))) as server:
        key = server.new_key("generate", "read")
        printed = json.loads(node("openai.mjs", server.url, API_KEY=key))
        assert server.balance(key) == printed["remaining"]
