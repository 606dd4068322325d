"""The served app end to end: the sandbox delivers the webhook to the server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest

from tests.browser.conftest import free_port, start_server, stop_server
from tests.pages import parse_html

pytestmark = pytest.mark.in_turn

PATIENCE_SECONDS = 120.0


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: a buyer may close the window after paying."""

    def redirect_request(self, *_args: Any) -> None:
        return None


class Browser:
    """A browser with cookies and forms, without JavaScript."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()), _Stay())

    def open(self, path: str, **form: str) -> tuple[int, str, str]:
        """Return the status, text and Location of an answer."""
        address = path if path.startswith("http") else self.site + path
        request = Request(address, urlencode(form).encode() if form else None)
        try:
            answer = self._opener.open(request, timeout=60)
        except Exception as error:
            if not hasattr(error, "headers"):
                raise
            answer = error
        with answer:
            return answer.status, answer.read().decode(), answer.headers.get("Location", "")

    def submit(self, page: str, path: str, **fields: str) -> tuple[int, str, str]:
        """Post the form of a page, with these fields filled in."""
        return self.open(path, **(parse_html(self.open(page)[1]).fields() | fields))

    def balance(self) -> Any:
        return json.loads(self.open("/api/credits/balance")[1])["balance"]


@pytest.fixture
def browser(database_url: str, tmp_path: Path) -> Iterator[Browser]:
    """A browser on a served app with its jobs and its sandbox's webhooks."""
    with served(database_url, tmp_path) as made:
        yield made


@contextmanager
def served(database_url: str, folder: Path, **environ: str) -> Iterator[Browser]:
    """Yield a browser on a served app."""
    port = free_port()
    own = {"DATABASE_URL": database_url, "CREDITAPP_LOG_LEVEL": "error"}
    server = start_server(folder, port, own | environ)
    try:
        yield Browser(f"http://127.0.0.1:{port}")
    finally:
        stop_server(server)


def until(true: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if true():
                return
        except OSError:
            pass
        assert time.monotonic() < give_up_at, f"waited in vain for {what}"
        time.sleep(0.1)


def test_paying_and_closing_the_window_grants_the_credits(browser: Browser) -> None:
    status, _text, _to = browser.submit(
        "/auth/signup", "/auth/signup", email="alice@example.com", password="correct horse battery"
    )
    assert status == 303
    assert browser.balance() == 50

    status, _text, checkout = browser.submit("/credits", "/credits/checkout", pack="creator")
    assert (status, "/sandbox/pay/" in checkout) == (303, True)
    status, _text, back = browser.submit(
        checkout, checkout, card="succeeds", email="alice@example.com"
    )
    assert (status, "/credits/purchases/pur_" in back) == (303, True)

    until(lambda: browser.balance() == 160, "the webhook")
    page = back.partition("/back")[0].removeprefix(browser.site)
    assert browser.open(back)[2] == f"{page}?purchase=success"
    assert browser.balance() == 160


class _SlowStripe(BaseHTTPRequestHandler):
    """A Stripe that takes two seconds, and then fails."""

    def do_POST(self) -> None:
        time.sleep(2)
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def slow_stripe() -> Iterator[str]:
    """Yield the address of a slow Stripe."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _SlowStripe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.databases("sqlite")
def test_a_slow_stripe_delays_only_those_who_ask_it(database_url: str, tmp_path: Path) -> None:
    environ = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}
    environ["CREDITAPP_THREADS"] = "8"
    with (
        slow_stripe() as stripe,
        served(database_url, tmp_path, STRIPE_API_BASE=stripe, **environ) as alice,
    ):
        status, _text, _to = alice.submit(
            "/auth/signup",
            "/auth/signup",
            email="alice@example.com",
            password="correct horse battery",
        )
        assert status == 303
        stranger = Browser(alice.site)
        stranger.open("/")  # the first one compiles the page
        with ThreadPoolExecutor(20) as pool:
            asking = [pool.submit(alice.open, "/api/billing/portal-link") for _ in range(20)]
            waited = [seconds_of(lambda: stranger.open("/")) for _ in range(5)]
            statuses = {answer.result()[0] for answer in asking}
        assert statuses == {503}
        assert max(waited) < 1.5, waited


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began
