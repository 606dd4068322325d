"""A running sandbox and a shop that receives its webhooks, for tests.

Everything the sandbox answers and sends during a test is held against Stripe's own types; the
first fault fails the test.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import stripe
from flask import Flask, Response, current_app, request
from stripe.checkout import Session
from stripe.params.checkout import SessionCreateParams

from creditapp.stripe_sandbox import (
    Deliveries,
    Server,
    checkout,
    create_sandbox,
    serve,
    start_deliveries,
)
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Database
from tests.stripe_sandbox.contract import faults_of_answer, faults_of_error

KEY = "sk_test_alice"
SECRET = "whsec_sandbox_test"  # signs nothing but tests
PATIENCE_SECONDS = 60.0


@dataclass
class Received:
    """One received webhook."""

    body: bytes
    signature: str
    answered: int

    @property
    def event(self) -> dict[str, Any]:
        """The body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class Shop:
    """The receiver of webhooks; ``answers`` holds the statuses of the next ones, then 200."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.answers: deque[int] = deque()
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = shop.answers.popleft() if shop.answers else 200
                shop.received.append(Received(body, self.headers["Stripe-Signature"], status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                page = b"<!doctype html><html lang=en><title>Shop</title><h1>Thank you</h1>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/api/webhooks/stripe"

    @property
    def types(self) -> list[str]:
        """The kinds of events received, in order."""
        return [each.event["type"] for each in self.received]

    def wait_for(self, kind: str, count: int = 1) -> list[Received]:
        """Return the webhooks of a kind once there are ``count`` of them."""
        wait_until(lambda: self.types.count(kind) >= count, f"{count} x {kind}")
        return [each for each in self.received if each.event["type"] == kind]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


_FAULTS = "faults"
_stopped: list[Flask] = []
"""Apps for the next sandboxes: routes and templates of a new one take longer than most tests."""


@dataclass
class Sandbox:
    """A sandbox behind a port, with the SDK and a browser without JavaScript."""

    path: Path
    shop: Shop
    app: Flask = field(init=False)
    server: Server = field(init=False)
    stripe: stripe.StripeClient = field(init=False)
    faults: list[str] = field(default_factory=list)
    _deliveries: Deliveries | None = None

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin on whatever the file holds."""
        self.app = _stopped.pop() if _stopped else _new_app(self.path)
        self.server = serve(self.app, "127.0.0.1", 0)
        State(
            database=Database(self.path),
            public_url=self.server.url,
            webhook_url=self.shop.url,
            webhook_secret=SECRET,
            secret_key=None,
            app_name="CreditApp",
        ).attach(self.app)
        self.app.extensions[_FAULTS] = self.faults
        self.stripe = stripe.StripeClient(
            KEY,
            base_addresses={"api": self.server.url},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=5),
        )

    def deliver(self) -> None:
        """Begin to send webhooks."""
        self._deliveries = start_deliveries(self.app)

    def stop(self) -> None:
        """End deliveries and server; the file stays."""
        if self._deliveries:
            self._deliveries.stop()
            self._deliveries = None
        self.server.stop()
        State.of(self.app).database.close()
        _stopped.append(self.app)

    def open_checkout(self, **more: Any) -> Session:
        """Open a checkout of the Creator pack."""
        params: dict[str, Any] = {
            "mode": "payment",
            "success_url": "http://shop.test/credits?purchase=success&id={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.test/credits?purchase=cancelled",
            "metadata": {"purchase_id": "pur_1"},
            "payment_intent_data": {"metadata": {"purchase_id": "pur_1"}},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 1499,
                        "product_data": {"name": "Creator", "description": "110 credits"},
                    },
                }
            ],
        }
        given = cast(SessionCreateParams, {**params, **more})  # also what Stripe must refuse
        return self.stripe.v1.checkout.sessions.create(given)

    def price(self, minor: int = 1500, interval: Any = "month", **more: Any) -> str:
        """Put a recurring price on sale; return its id."""
        made = self.stripe.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": minor,
                "recurring": {"interval": interval},
                "product_data": {"name": f"Plan of {minor}"},
                **more,
            }
        )
        return made.id

    def subscribe(self, price: str, card: str = "succeeds", **more: Any) -> stripe.Subscription:
        """Open a checkout of a plan, pay it, and return the subscription."""
        session = self.open_subscription(price, **more)
        answer = self.pay(session.id, card)
        assert answer.location.startswith("http://shop.test/"), answer.text
        done = self.stripe.v1.checkout.sessions.retrieve(session.id)
        return self.stripe.v1.subscriptions.retrieve(str(done.subscription))

    def open_subscription(self, price: str, **more: Any) -> Session:
        """Open a checkout of a plan."""
        data = {"metadata": {"plan": "pro"}, **more.pop("subscription_data", {})}
        given: Any = {
            "mode": "subscription",
            "success_url": "http://shop.test/plan?id={CHECKOUT_SESSION_ID}",
            "line_items": [{"price": price, "quantity": 1}],
            "metadata": {"of": "the session"},
            "subscription_data": data,
            **more,
        }
        return self.stripe.v1.checkout.sessions.create(given)

    def wait(self, *, days: float = 0, until: int | None = None) -> None:
        """Move the clock on and let what falls due happen."""
        with State.of(self.app).transaction() as store:
            seconds = int(days * 86_400) if until is None else max(0, until - store.now)
            store.advance(seconds)
            checkout.run_due_work(store)

    def invoices(self, subscription: str) -> list[stripe.Invoice]:
        """Return a subscription's invoices, the oldest first."""
        found = self.stripe.v1.invoices.list({"subscription": subscription, "limit": 100}).data
        return found[::-1]

    def pay(self, session_id: str, card: str = "succeeds", email: str = "alice@x.test") -> Any:
        """Pay on the page, as a browser without JavaScript does; return the answer."""
        return self.press(f"/pay/{session_id}", card=card, email=email)

    def press(self, path: str, **form: str) -> Any:
        """Send a form of the pages, with its token."""
        token = State.of(self.app).form_token()
        return self.app.test_client().post(path, data={"token": token, **form})

    def get(self, path: str) -> Any:
        """Open a page."""
        return self.app.test_client().get(path)

    def event_types(self) -> list[str]:
        """Return the kinds of all events so far, the oldest first."""
        events = self.stripe.v1.events.list({"limit": 100}).data
        return [event.type for event in reversed(events)]


def _new_app(path: Path) -> Flask:
    app = create_sandbox(path, public_url="http://later", webhook_url=None, webhook_secret=SECRET)
    app.after_request(_check)
    return app


def _check(response: Response) -> Response:
    if request.path.startswith("/v1/"):
        body = json.loads(response.get_data())
        right = response.status_code == 200
        faults = faults_of_answer(body) if right else faults_of_error(body)
        current_app.extensions[_FAULTS] += faults
    return response


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that another thread does; fail with its name."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.01)
