"""A demo in a process of its own, and OpenAI's official client with a key of a member there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

from tests.api_server import running


@dataclass(frozen=True)
class Demo:
    """A running demo with a member who has 50 credits and a browser."""

    address: str
    browser: httpx2.Client

    def key(self, *scopes: str) -> str:
        """Return a new API key of the member, to read and to generate unless it says otherwise."""
        body = {"name": "Tests", "scopes": scopes or ("read", "generate")}
        made = self.browser.post("/api/keys", json=body, headers={"Origin": self.address})
        return str(made.json()["key"])

    def balance(self) -> float:
        """Return the balance of the member."""
        return float(self.browser.get("/api/credits/balance").json()["balance"])

    def client(self, *scopes: str, max_retries: int = 0) -> OpenAI:
        """Return a client with a new key."""
        return OpenAI(
            base_url=f"{self.address}/v1", api_key=self.key(*scopes), max_retries=max_retries
        )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo whose every model is a demonstration."""
    yield from running_demo(tmp_path_factory.mktemp("openai"))


def running_demo(folder: Path, **environ: str) -> Iterator[Demo]:
    """Start a demo, and end it."""
    with running(folder, environ) as server, closing(server.sign_up()) as browser:
        yield Demo(server.url, browser)


@pytest.fixture(scope="session")
def client(demo: Demo) -> OpenAI:
    """OpenAI's client, which repeats nothing by itself."""
    return demo.client()
