"""Build the app for tests: an empty database, jobs and emails that wait, people with browsers."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp import create_app
from creditapp.config import load_settings
from creditapp.db import db, transaction
from creditapp.emails import Message
from creditapp.jobs.engine import JobStore
from creditapp.jobs.registry import handlers
from creditapp.runtime import migrate
from creditapp.services import provide

POSTGRESQL_SERVER = os.environ.get(
    "TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)


CHROMIUM = "/usr/bin/chromium"


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


NOTHING_MAY_BE_SKIPPED = os.environ.get("CREDITAPP_TEST_ALL") == "1"


def lacking(what: str, how: str) -> None:
    """Skip by name, with the line that installs it; fail where nothing may be skipped."""
    message = f"{what} is missing; {how}"
    if NOTHING_MAY_BE_SKIPPED:
        pytest.fail(message)
    pytest.skip(message)


class Queue(JobStore):
    """The jobs of a test: they wait until the test runs them, in this thread, in their order."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.seen: set[tuple[str, str]] = set()
        self.waiting: deque[tuple[str, str]] = deque()

    def enqueue(self, name: str, row_id: str, **_options: object) -> None:
        """Queue a job once by name and id, as the real store does."""
        if (name, row_id) not in self.seen:
            self.seen.add((name, row_id))
            self.waiting.append((name, row_id))

    def run(self) -> int:
        """Run what waits, and what that queues in turn; return how many jobs ran."""
        ran = 0
        while self.waiting:
            name, row_id = self.waiting.popleft()
            with self.app.app_context():
                handlers[name].work(row_id)
            ran += 1
        return ran


class Outbox:
    """A mailer that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep the mail."""
        self.sent.append(message)


def build_app(url: str, folder: Path, environ: dict[str, str] | None = None, **doors: Any) -> Flask:
    """Return an app on an empty database with its schema made, whose jobs wait for the test."""
    settings = load_settings(
        {
            "CREDITAPP_ENV": "testing",
            "CREDITAPP_DATA": str(folder / "data"),
            "DATABASE_URL": url,
            "SECRET_KEY": "a key that only the tests know, long enough",
            "SITE_URL": "http://localhost",
            "CREDITAPP_LOG_LEVEL": "warning",
            **(environ or {}),
        }
    )
    app = create_app(settings, **doors)
    with app.app_context():
        provide(app, JobStore, Queue(app))
        with transaction() as session:
            migrate.create_all(session.connection())
    return app


def close_app(app: Flask) -> None:
    """Give the app's connections back, so that its database can be dropped."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


class Person:
    """A person with a browser, who fills in forms and posts them with their CSRF token."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.browser = app.test_client()

    def token(self) -> str:
        """Return the CSRF token of this browser's session."""
        page = self.browser.get("/auth/forgot").text
        return page.split('name="csrf_token" value="')[1].split('"')[0]

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> TestResponse:
        """Post a form as a page of ours would."""
        data = {"csrf_token": self.token(), **(fields or {})}
        return self.browser.post(path, data=data, **options)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        """Call the JSON API from this browser's own pages."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.browser.open(
            path, method=method, json=body, headers={"Sec-Fetch-Site": "same-origin", **named}
        )

    def sign_up(self, email: str, password: str = "correct horse battery") -> Person:
        """Open an account and stay signed in."""
        answer = self.post("/auth/signup", {"email": email, "password": password, "next": "/"})
        assert answer.status_code == 303, answer.text
        return self

    def balance(self) -> Any:
        """Return the balance that the API tells."""
        return self.call("GET", "/api/credits").json["credits"]["balance"]
