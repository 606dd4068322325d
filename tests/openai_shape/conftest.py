"""A demo in a process of its own, and OpenAI's official client with a key of a member there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

from tests.browser.conftest import free_port, start_server, stop_server
from tests.processes import run_command

EMAIL = "alice@example.com"


@dataclass(frozen=True)
class Demo:
    """A running demo with a member who has 1,000 credits."""

    address: str
    folder: Path

    def command(self, *words: str) -> str:
        """Run a command of the demo; return what it prints."""
        environ = {"CREDITAPP_DATA": str(self.folder), "CREDITAPP_LOG_LEVEL": "error"}
        ended = run_command(*words, environ=environ)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def key(self, *options: str) -> str:
        """Return a new API key of the member."""
        made = json.loads(self.command("api-key", "create", EMAIL, *options, "--json"))
        return str(made["key"])

    def client(self, *options: str, max_retries: int = 0) -> OpenAI:
        """Return a client with a new key."""
        return OpenAI(
            base_url=f"{self.address}/v1", api_key=self.key(*options), max_retries=max_retries
        )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo whose every model is a demonstration."""
    yield from running_demo(tmp_path_factory.mktemp("openai"))


def running_demo(folder: Path, **environ: str) -> Iterator[Demo]:
    """Start a demo, and end it."""
    port = free_port()
    process = start_server(folder, port, environ)
    demo = Demo(f"http://127.0.0.1:{port}", folder)
    try:
        demo.command("user", "create", EMAIL, "--password", "correct horse battery")
        demo.command("grant", EMAIL, "1000", "--reason", "test")
        yield demo
    finally:
        stop_server(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def client(demo: Demo) -> OpenAI:
    """OpenAI's client, which repeats nothing by itself."""
    return demo.client()
