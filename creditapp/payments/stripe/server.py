"""Payment sandbox of the demo: its pages on this site, its API on a port of its own.

The app talks to it over HTTP with the same SDK as to Stripe; only the address differs. The API
listens on the loopback interface alone, and starts with the first call.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from creditapp.clock import Clock
from creditapp.config import Settings
from creditapp.payments.stripe.client import StripeGateway
from creditapp.services import provide
from creditapp.stripe_sandbox import Server, create_sandbox, serve, start_deliveries
from creditapp.stripe_sandbox.clock import offset as clock_offset
from creditapp.stripe_sandbox.state import State

if TYPE_CHECKING:
    from creditapp.stripe_sandbox import Deliveries

MOUNT = "/sandbox"
CLOCK_READ_SECONDS = 1.0


class SandboxClock(Clock):
    """Clock of the demo: the sandbox's, so that time advanced there passes here too."""

    def __init__(self, sandbox: Flask) -> None:
        self._sandbox = sandbox
        self._offset = timedelta(0)
        self._read_at = -CLOCK_READ_SECONDS
        self._moves = 0

    def now(self) -> datetime:
        """Return the sandbox's time; an advance by another process is seen within a second."""
        state = State.of(self._sandbox)
        moves, read_at = state.clock_moves, time.monotonic()
        if moves != self._moves or read_at - self._read_at >= CLOCK_READ_SECONDS:
            with state.transaction() as store:
                self._offset = timedelta(seconds=clock_offset(store))
            self._moves, self._read_at = moves, read_at
        return datetime.now(UTC) + self._offset


class SandboxGateway(StripeGateway):
    """Gateway to the payment sandbox in this process."""

    def __init__(self, sandbox: Flask, secret_key: str, settings: Settings) -> None:
        super().__init__(
            secret_key,
            settings.webhook_secret,
            promotion_codes=settings.promotion_codes,
            automatic_tax=settings.automatic_tax,
        )
        self.sandbox = sandbox
        self.clock = SandboxClock(sandbox)
        self._server: Server | None = None
        self._server_lock = threading.Lock()

    def start_deliveries(self) -> Deliveries:
        """Start sending webhooks to the app; call it once, in the serving process."""
        return start_deliveries(self.sandbox)

    def api_base(self) -> str:
        """Return the address of the sandbox's API; the first call starts it."""
        with self._server_lock:
            if self._server is None:
                self._server = serve(self.sandbox, "127.0.0.1", 0)
            return self._server.url

    def close(self) -> None:
        """Stop the API and close the sandbox's database."""
        if self._server is not None:
            self._server.stop()
        State.of(self.sandbox).database.close()


def mount_sandbox(app: Flask, settings: Settings) -> SandboxGateway:
    """Mount the sandbox's pages under ``/sandbox`` of this site; return the gateway to it."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    # Its API is reachable under this site's address too; only this process knows its key.
    secret_key = f"sk_test_{settings.derived_key('sandbox-api')[:32]}"
    sandbox = create_sandbox(
        settings.data_dir / "sandbox.sqlite",
        public_url=f"{settings.site_url}{MOUNT}",
        webhook_url=f"http://{host}:{settings.port}/api/webhooks/stripe",
        webhook_secret=settings.webhook_secret,
        app_name=settings.site_name,
        secret_key=secret_key,
    )
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]  # how Flask is wrapped
        app.wsgi_app, {MOUNT: sandbox.wsgi_app}
    )
    gateway = SandboxGateway(sandbox, secret_key, settings)
    provide(app, SandboxGateway, gateway)
    return gateway
