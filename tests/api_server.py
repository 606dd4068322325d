"""A fresh demo in a process of its own, with people and API keys, for clients of the API."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.browser.conftest import free_port, start_server, stop_server
from tests.pages import parse_html

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class ApiServer:
    """A running server: SQLite, previews, the payment sandbox."""

    url: str
    folder: Path

    def new_key(self, *scopes: str) -> str:
        """Return an API key of a new member with 50 credits; a server has room for 20 of them."""
        with closing(self.sign_up()) as browser:
            body = {"name": "Tests", "scopes": scopes}
            answer = browser.post("/api/keys", json=body, headers={"Origin": self.url})
        assert answer.status_code == 201, answer.text
        key: str = answer.json()["key"]
        return key

    def sign_up(self) -> httpx2.Client:
        """Return a browser in which a new member is logged in."""
        browser = httpx2.Client(base_url=self.url, timeout=60)
        form = parse_html(browser.get("/auth/signup").text).one("main form").fields()
        email = f"{secrets.token_hex(6)}@example.com"
        answer = browser.post("/auth/signup", data={**form, "email": email, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

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
