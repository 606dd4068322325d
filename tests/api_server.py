"""A fresh demo in a process of its own, with people and API keys, for clients of the API."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.browser.conftest import free_port, start_server, stop_server
from tests.processes import run_command

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class ApiServer:
    """A running server: SQLite, previews, the payment sandbox."""

    url: str
    folder: Path

    def new_key(self, *scopes: str, email: str = "", budget: str | None = None) -> str:
        """Return an API key, of a new member with 50 credits unless ``email`` names one."""
        email = email or self.new_member()
        words = [word for scope in scopes for word in ("--scope", scope)]
        words += [] if budget is None else ["--budget", budget]
        key: str = self._run("api-key", "create", email, *words, "--json")["key"]
        return key

    def new_member(self) -> str:
        """Return the email address of a new member with 50 credits."""
        email = f"{secrets.token_hex(6)}@example.com"
        self._run("user", "create", email, "--password", PASSWORD, "--json")
        return email

    def call(self, key: str, method: str, path: str, body: object = None) -> Any:
        """Return what a route answers to a key."""
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx2.request(method, self.url + path, json=body, headers=headers, timeout=60)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def balance(self, key: str) -> float:
        """Return the balance of a key's member."""
        balance: float = self.call(key, "GET", "/api/credits/balance")["balance"]
        return balance

    def _run(self, *words: str) -> Any:
        ended = run_command(*words, environ={"CREDITAPP_DATA": str(self.folder)})
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)


@contextmanager
def running(folder: Path, environ: dict[str, str] | None = None) -> Iterator[ApiServer]:
    """Start a server over a folder; end it, and delete the folder."""
    port = free_port()
    process = start_server(folder, port, environ)
    try:
        yield ApiServer(f"http://127.0.0.1:{port}", folder)
    finally:
        stop_server(process)
        shutil.rmtree(folder, ignore_errors=True)
