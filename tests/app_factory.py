"""Build the app for tests: an empty database, jobs and emails that wait, people with browsers."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from jinja2 import FileSystemBytecodeCache
from PIL import Image
from werkzeug.test import TestResponse

from creditapp import accounts, create_app
from creditapp.accounts import AccountRules
from creditapp.clock import Clock, StoppedClock, now
from creditapp.config import Settings, load_settings
from creditapp.db import db, transaction
from creditapp.emails import EmailService, Message
from creditapp.generation.providers.offline import finish
from creditapp.generation.providers.offline.draw import Drawing
from creditapp.generation.providers.protocol import VideoRequest
from creditapp.jobs.engine import JobStore
from creditapp.jobs.registry import handlers
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.server import SandboxGateway
from creditapp.runtime import migrate
from creditapp.services import get, provide
from creditapp.stripe_sandbox.state import State
from tests.databases import Databases, hurry
from tests.documented_answers import watch
from tests.pages import Element, parse_html

if TYPE_CHECKING:
    from stripe import HTTPClient

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
"""The time at which every test of the app begins."""

_CHROMIUMS = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"]
if os.environ.get("CREDITAPP_SOAK") == "1":
    _CHROMIUMS.reverse()
CHROMIUM = next((path for path in _CHROMIUMS if Path(path).exists()), "")
"""The one without windows, which opens a page with a quarter of the work, or the whole one.

The soak takes the whole one first. Empty where neither is installed.
"""

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Queue(JobStore):
    """The jobs of a test: they wait until the test runs them, in this thread, in their order."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.seen: set[tuple[str, str]] = set()
        self.dead: set[tuple[str, str]] = set()
        """Jobs that a test says failed for good."""
        self.waiting: deque[tuple[str, str]] = deque()

    def enqueue(self, name: str, row_id: str, **_options: object) -> None:
        """Queue a job once by name and id, as the real store does."""
        if (name, row_id) not in self.seen:
            self.seen.add((name, row_id))
            self.waiting.append((name, row_id))

    def dead_letters(self, name: str, row_ids: Collection[str]) -> set[str]:
        """Return those of ``dead``."""
        return {row_id for row_id in row_ids if (name, row_id) in self.dead}

    def forget(self) -> None:
        """Forget every job."""
        self.dead.clear()
        self.seen.clear()
        self.waiting.clear()

    def run(self) -> int:
        """Run what waits, and what that queues in turn; return how many jobs ran."""
        ran = 0
        while self.waiting:
            name, row_id = self.waiting.popleft()
            with self.app.app_context():
                handlers[name].work(row_id)
            ran += 1
        return ran


def plain_png(
    prompt: str,
    *,
    model: str,
    seed: int,
    width: int,
    height: int,
    style: str | None = None,
    negative_prompt: str | None = None,
    progress: Callable[[float], None] = lambda _share: None,
    note_partial: Callable[[bytes], None] | None = None,
) -> bytes:
    """Return a PNG as ``draw.draw_png`` does, of a single colour that its arguments choose."""
    drawing = Drawing(prompt, model, seed, style=style, negative_prompt=negative_prompt)
    red, green, blue = drawing.dice.randbytes(3)
    image = Image.new("RGB", (width, height), (red, green, blue))
    progress(0.6)
    if note_partial is not None:
        note_partial(finish.to_png(image.point(lambda value: value // 4), {}))
        note_partial(finish.to_png(image.point(lambda value: value // 2), {}))
    data = finish.to_png(image, drawing.origin)
    progress(1.0)
    return data


def plain_shot(request: VideoRequest, size: tuple[int, int]) -> Callable[[float], Image.Image]:
    """Return frames as ``video._shot`` does, of a single colour that the request chooses."""
    dice = Drawing(request.prompt, request.provider_model, request.seed).dice
    image = Image.new("RGB", size, tuple(dice.randbytes(3)))
    return lambda _time: image.copy()


class Outbox:
    """A mailer that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep the email."""
        self.sent.append(message)


def get_clock() -> StoppedClock:
    """Return the current app's clock."""
    clock = get(Clock)
    assert isinstance(clock, StoppedClock)
    return clock


def get_outbox() -> Outbox:
    """Return the current app's outbox."""
    mailer = get(EmailService).mailer
    assert isinstance(mailer, Outbox)
    return mailer


def get_queue() -> Queue:
    """Return the current app's waiting jobs."""
    store = get(JobStore)
    assert isinstance(store, Queue)
    return store


def new_app(url: str, folder: Path, environ: dict[str, str] | None = None, **doors: Any) -> Flask:
    """Return an app on a database that has its schema; its jobs wait for the test."""
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
    # Compiling the templates takes as long as a test; compiled ones are kept for the next app.
    app.jinja_env.bytecode_cache = FileSystemBytecodeCache()
    provide(app, JobStore, Queue(app))
    watch(app)
    with app.app_context():
        hurry(db.engine)
        gateway = get(StripeGateway)
    if isinstance(gateway, SandboxGateway):
        gateway.http_client = lambda: in_process_client(gateway.sandbox)  # type: ignore[method-assign]  # for tests alone
    return app


def in_process_client(sandbox: Flask) -> HTTPClient:
    """Return a client of Stripe's SDK that calls the sandbox without a socket.

    A request over loopback takes four times as long; tests/payments/test_gateway.py makes them.
    """
    import stripe

    class InProcess(stripe.HTTPClient):
        name = "in process"

        def request(  # type: ignore[override]  # a response's body is bytes there too
            self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
        ) -> tuple[bytes, int, Mapping[str, str]]:
            to = urlsplit(url)
            answer = sandbox.test_client().open(
                to.path,
                method=method,
                query_string=to.query,
                headers=dict(headers or {}),
                data=post_data,
            )
            return answer.data, answer.status_code, answer.headers

        def close(self) -> None:
            """Close nothing."""

    return InProcess()


def build_app(url: str, folder: Path, environ: dict[str, str] | None = None, **doors: Any) -> Flask:
    """Return an app on an empty database, on which its schema is made."""
    app = new_app(url, folder, environ, **doors)
    with app.app_context(), transaction() as session:
        migrate.create_all(session.connection())
    return app


def close_app(app: Flask) -> None:
    """Give the app's connections back and free the sandbox's port."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
        gateway = get(StripeGateway)
    if isinstance(gateway, SandboxGateway):
        gateway.close()


class SharedApps:
    """One app on each kind of database, as new before each test; a new one costs half a second."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self._folder = folder
        self._apps: dict[str, tuple[Flask, dict[str, Any], dict[str, Any]]] = {}

    def fresh(self, kind: str, environ: dict[str, str] | None = None) -> Flask:
        """Return the app of a kind of database and of settings, on the emptied database."""
        engine = self._databases.fresh(kind)
        key = f"{kind} {environ}"
        if key not in self._apps:
            url = engine.url.render_as_string(hide_password=False)
            folder = self._folder / str(len(self._apps))
            app = new_app(url, folder, environ, clock=StoppedClock(START), mailer=Outbox())
            self._apps[key] = app, dict(app.extensions), dict(app.config)
        app, extensions, config = self._apps[key]
        for current, first in ((app.extensions, extensions), (app.config, config)):
            current.clear()
            current.update(first)
        with app.app_context():
            self._reset()
        return app

    def _reset(self) -> None:
        clock = get_clock()
        clock.advance(START - clock.now())
        get_outbox().sent.clear()
        get_queue().forget()
        shutil.rmtree(get(Settings).data_dir / "media", ignore_errors=True)
        with State.of(get(SandboxGateway).sandbox).transaction() as store:
            for table in ("objects", "deliveries", "answers", "settings"):
                store.connection.execute(f"DELETE FROM {table}")

    def close(self) -> None:
        """Close what was opened."""
        for app, _, _ in self._apps.values():
            close_app(app)


class Person:
    """A person with a browser, who fills in forms and posts them with their CSRF token."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.browser = app.test_client()
        self.email = ""

    def token(self) -> str:
        """Return the CSRF token of this browser's session, as every form of a page has it."""
        # Signed here: to render and parse a page before every form that a test posts takes longer
        # than most of what they post.
        with self.browser.session_transaction() as session:
            raw = session.setdefault("csrf_token", secrets.token_hex(20))
        return URLSafeTimedSerializer(self.app.secret_key or "", salt="wtf-csrf-token").dumps(raw)

    def page(self, path: str, **options: Any) -> Element:
        """Open a page and parse it."""
        return parse_html(self.browser.get(path, **options).text)

    def post(
        self, path: str, fields: Mapping[str, str | Sequence[str]] | None = None, **options: Any
    ) -> TestResponse:
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
        self.email = email
        return self

    def open_account(self, email: str, password: str = "correct horse battery") -> Person:
        """Open an account and sign in without the form, in a third of its time."""
        with self.app.app_context():
            new = accounts.prepare_account(email, password)
            with transaction() as writing:
                user = accounts.sign_up(writing, new, get(AccountRules), now=now()).user
                session_id = accounts.begin_session(writing, user, "", now=now())
        with self.browser.session_transaction() as session:
            session.permanent = True
            session.update({"_user_id": session_id, "_fresh": False})
        self.email = email
        return self

    def balance(self) -> Any:
        """Return the balance that the API tells."""
        return self.call("GET", "/api/credits").json["credits"]["balance"]


_numbers = itertools.count(1)


def newcomer(app: Flask) -> Person:
    """Return somebody nobody has seen, from a network nobody has called from."""
    person = Person(app)
    number = next(_numbers)
    person.browser.environ_base["REMOTE_ADDR"] = (
        f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    )
    return person


def member(app: Flask, name: str) -> Person:
    """Return somebody with a new account and its 50 welcome credits."""
    return newcomer(app).open_account(f"{name}-{next(_numbers)}@example.com")
