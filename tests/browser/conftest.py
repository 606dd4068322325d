"""A real server in a process of its own, and Chromium to drive it."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.pages import parse_html
from tests.processes import start_command

START_SECONDS_MAX = 120
WAIT_MS_MAX = 20_000
"""For a page's answer while other tests use both cores; a first image imports an SDK."""

expect.set_options(timeout=WAIT_MS_MAX)
SOAK = os.environ.get("CREDITAPP_SOAK") == "1"
LOOKS = [(1280, False), (390, True), (1280, True), (390, False)]
"""Width, and whether dark."""
ROOT = Path(__file__).resolve().parents[2]
NETWORK_HEADER = "X-Network"
_networks = (f"10.{number % 256}.{number // 256}.1" for number in itertools.count())


def in_looks(bounded: int) -> pytest.MarkDecorator:
    """Give a test ``width`` and ``dark``: of one look in the check, of all four in the soak."""
    looks = LOOKS if SOAK else LOOKS[bounded : bounded + 1]
    ids = [f"{width}-{'dark' if dark else 'light'}" for width, dark in looks]
    return pytest.mark.parametrize(("width", "dark"), looks, ids=ids)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(
    folder: Path, port: int, environ: dict[str, str] | None = None
) -> ForkServerProcess:
    """Start the app as ``./run`` does, over its own folder, and wait until it answers."""
    own = {"CREDITAPP_DATA": str(folder), "PORT": str(port), "CREDITAPP_LOG_LEVEL": "warning"}
    process = start_command("serve", environ=own | (environ or {}), folder=folder)
    give_up_at = time.monotonic() + START_SECONDS_MAX
    while process.is_alive() and time.monotonic() < give_up_at:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError((folder / "error").read_text())


def stop_server(process: ForkServerProcess) -> None:
    """End the server that a test began."""
    process.terminate()
    process.join(20)
    if process.is_alive():
        process.kill()
        process.join()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo: SQLite, previews, the payment sandbox.

    Modules share it: each person comes from a network of their own, so that no limit of a network
    counts the others.
    """
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    proxy = {"CREDITAPP_TRUSTED_PROXIES": "1", "CREDITAPP_CLIENT_IP_HEADER": NETWORK_HEADER}
    process = start_server(folder, port, proxy)
    yield f"http://127.0.0.1:{port}"
    stop_server(process)
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Person:
    """A user at a browser, with every error that the browser reported."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Open a page of the site."""
        self.page.goto(self.base + path)
        return self.page

    def sign_up(self, email: str, then: str = "/") -> Page:
        """Open an account and a page; the story fills in the form, the others send it."""
        send = self.page.request
        form = parse_html(send.get(f"{self.base}/auth/signup?next=/").text()).one("main form")
        answer = send.post(
            f"{self.base}/auth/signup",
            form={**form.fields(), "email": email, "password": "correct horse battery"},
            max_redirects=0,
        )
        assert answer.status == 303, answer.text()
        return self.open(then)

    @property
    def balance(self) -> str:
        """The number in the header."""
        return self.page.locator("#balance").inner_text()


def choose_model(page: Page, model_id: str) -> None:
    """Open the list of models and choose one."""
    page.locator(".model-menu > summary").click()
    page.locator(f"label[for=model-{model_id}]").click()
    expect(page.locator(f"#model-{model_id}")).to_be_checked()


def reload_until_seen(page: Page, selector: str) -> None:
    """Reload a page that does not renew itself until it shows an element."""
    give_up_at = time.monotonic() + WAIT_MS_MAX / 1000
    while not page.locator(selector).count() and time.monotonic() < give_up_at:
        page.wait_for_timeout(100)
        page.reload()
    expect(page.locator(selector).first).to_be_visible()


@dataclass
class Cast:
    """Makes persons, each with a browser profile of their own."""

    browser: Browser
    base: str
    contexts: list[BrowserContext] = field(default_factory=list)
    persons: list[Person] = field(default_factory=list)

    def person(
        self, *, width: int = 1280, dark: bool = False, script: bool = True, still: bool = False
    ) -> Person:
        """Return a new user."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            reduced_motion="reduce" if still else "no-preference",
            extra_http_headers={NETWORK_HEADER: next(_networks)},
        )
        context.set_default_timeout(WAIT_MS_MAX)
        page = context.new_page()
        person = Person(page, self.base)
        page.on("console", lambda message: _note(person, message))
        page.on("pageerror", lambda error: _note_error(person, str(error)))
        self.contexts.append(context)
        self.persons.append(person)
        return person


def _note(person: Person, message: ConsoleMessage) -> None:
    # Chromium reports every answer of 400 and above; that it came is what some tests are about.
    expected = message.text.startswith("Failed to load resource")
    if message.type in ("error", "warning") and not expected:
        person.complaints.append(message.text)


def _note_error(person: Person, text: str) -> None:
    # A view transition that the next page overtakes is given up, and Chromium says so; no harm.
    if "ransition" not in text:
        person.complaints.append(text)


@pytest.fixture
def cast(chromium: Browser, server: str) -> Iterator[Cast]:
    """People at browsers; afterwards no console and no policy may have complained."""
    cast = Cast(chromium, server)
    yield cast
    for context in cast.contexts:
        context.close()
    for person in cast.persons:
        assert person.complaints == []
