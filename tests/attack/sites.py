"""The two sites under attack: a demo, and a production set-up, each a real server.

The demo is ``./run`` in an empty folder: SQLite and the embedded sandbox. The production set-up is
PostgreSQL, the sandbox as a program of its own in place of Stripe behind a proxy that can be slow
and counts the calls, stand-ins of OpenAI and Google, an SMTP server, and one trusted proxy.
"""

from __future__ import annotations

import itertools
import re
import secrets
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.attack.attacker import Attacker
from tests.browser.conftest import free_port, start_server, stop_server
from tests.databases import new_database
from tests.fakes.google_server import FakeGoogle
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.smtp_server import FakeSmtpServer
from tests.processes import run_command, start_command

HOST = "credits.example"
ADMIN_KEY = "an-admin-key-of-the-attacked-site-0123456789"  # pragma: allowlist secret
WEBHOOK_SECRET = "whsec_of_the_attacked_site"


class StripeProxy:
    """Forwards to the sandbox: ``delay_seconds`` makes Stripe slow, ``calls`` counts by method."""

    def __init__(self, target_port: int) -> None:
        self.delay_seconds = 0.0
        self.calls: Counter[str] = Counter()
        self._target_port = target_port
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.forward(self)

            do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """The value for ``STRIPE_API_BASE``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def forward(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one call on, after the delay."""
        self.calls[f"{request.command} {request.path.partition('?')[0]}"] += 1
        time.sleep(self.delay_seconds)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        connection = HTTPConnection("127.0.0.1", self._target_port, timeout=30)
        connection.request(request.command, request.path, body, headers)
        response = connection.getresponse()
        content = response.read()
        request.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
        connection.close()

    def stop(self) -> None:
        """Stop forwarding."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Site:
    """A running site and what belongs to it."""

    name: str
    port: int
    folder: Path
    environ: dict[str, str]
    bank_port: int
    stripe: StripeProxy | None = None
    mail: FakeSmtpServer | None = None
    _networks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def production(self) -> bool:
        """Whether it is the production set-up."""
        return self.name == "production"

    def attacker(self, network: str = "") -> Attacker:
        """Return a client from a network, by default one that nobody else uses."""
        number = next(self._networks)
        if self.production:
            own = f"10.{number // 250}.{number % 250}.7"
            return Attacker(self.port, HOST, True, network or own)
        own = f"127.{number // 250}.{number % 250}.7"
        return Attacker(self.port, f"127.0.0.1:{self.port}", False, network or own)

    def member(self, network: str = "") -> Attacker:
        """Return a client with a new account and its welcome credits."""
        client = self.attacker(network)
        answer = client.sign_up(new_email())
        assert answer.status == 303, answer.text[:2000]
        return client

    def purchase_of(self, bank_page: str) -> str:
        """Return the id of the purchase that a page of the bank belongs to."""
        local = Attacker(self.bank_port, f"127.0.0.1:{self.bank_port}", False, "127.0.0.1")
        found = re.search(r"/purchases/(pur_\w+)/", local.get(bank_page).text)
        assert found, "the bank's page leads back to the purchase"
        return found[1]

    def pay(self, bank_page: str, card: str = "succeeds") -> None:
        """Pay on the bank's page, as the buyer does."""
        local = Attacker(self.bank_port, f"127.0.0.1:{self.bank_port}", False, "127.0.0.1")
        page = local.get(bank_page).page
        form = next(form for form in page.all("form") if "card" in form.fields())
        fields = {**form.fields(), "card": card, "email": "buyer@example.com"}
        answer = local.send_form(bank_page, fields)
        assert answer.status in (302, 303), answer.text[:2000]

    def emails(self) -> list[str]:
        """Return every email that left, as text."""
        if self.mail is not None:
            return [
                str(part.get_content())
                for received in list(self.mail.received)
                for part in received.email.walk()
                if part.get_content_type() == "text/plain"
            ]
        return [path.read_text() for path in (self.folder / "mail").glob("*")]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``./run`` with these words on this site."""
        return run_command(*words, environ=self.environ)


def new_email() -> str:
    """Return an address that nobody has."""
    return f"{secrets.token_hex(6)}@example.com"


def until(what: str, act: Any, *, seconds: float = 20.0) -> Any:
    """Return the first true result of ``act``; fail after some seconds."""
    give_up_at = time.monotonic() + seconds
    while not (result := act()):
        assert time.monotonic() < give_up_at, what
        time.sleep(0.05)
    return result


@contextmanager
def running_demo(folder: Path) -> Iterator[Site]:
    """Run a demo in an empty folder."""
    port = free_port()
    process = start_server(folder, port)
    environ = {"CREDITAPP_DATA": str(folder), "PORT": str(port), "CREDITAPP_LOG_LEVEL": "warning"}
    try:
        yield Site("demo", port, folder, environ, bank_port=port)
    finally:
        stop_server(process)


@contextmanager
def running_production(folder: Path) -> Iterator[Site]:
    """Run a production set-up."""
    port, bank_port = free_port(), free_port()
    with (
        new_database("postgresql", folder) as url,
        FakeSmtpServer() as mail,
        FakeOpenAI() as openai,
        FakeGoogle() as google,
    ):
        stripe = StripeProxy(bank_port)
        environ = {
            "CREDITAPP_ENV": "production",
            "CREDITAPP_DATA": str(folder),
            "CREDITAPP_TRUSTED_PROXIES": "1",
            "CREDITAPP_LOG_LEVEL": "warning",
            "DATABASE_URL": url,
            "PORT": str(port),
            "SITE_URL": f"https://{HOST}",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "ADMIN_API_KEY": ADMIN_KEY,
            "MAIL_URL": f"smtp://127.0.0.1:{mail.port}",
            "OPENAI_API_KEY": openai.key,
            "OPENAI_BASE_URL": openai.base_url,
            "GEMINI_API_KEY": google.key,
            "GEMINI_BASE_URL": google.base_url,
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        bank = _start_bank(folder, port, bank_port)
        try:
            process = start_server(folder, port, environ)
            try:
                yield Site("production", port, folder, environ, bank_port, stripe, mail)
            finally:
                stop_server(process)
        finally:
            stop_server(bank)
            stripe.stop()


def _start_bank(folder: Path, port: int, bank_port: int) -> ForkServerProcess:
    """Start ``./run sandbox`` in a folder of its own, and wait until it answers."""
    data = folder / "bank"
    data.mkdir()
    environ = {
        "CREDITAPP_DATA": str(data),
        "PORT": str(port),
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    process = start_command("sandbox", "--port", str(bank_port), environ=environ, folder=data)
    out = data / "out"
    until(
        "the sandbox starts", lambda: out.exists() and "sandbox at" in out.read_text(), seconds=60
    )
    return process
