"""A shop for agents: the app, called by programs without cookies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from creditapp import ledger
from creditapp.agents import ledger_check
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.clock import StoppedClock
from creditapp.db import Model, snapshot
from creditapp.generation.providers import Providers
from creditapp.services import provide
from tests.app_factory import SharedApps, get_clock, get_queue
from tests.fakes.facilitator import FakeFacilitator
from tests.generation.studio import Scripted

if TYPE_CHECKING:
    from tests.agents.signed_shop import SignedShop

T = TypeVar("T")
ACCEPT_JSON = {"Accept": "application/json"}


class AgentShop:
    """The app as agents call it."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with app.app_context():
            self.queue = get_queue()

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Post JSON, as a program without cookies; ``_`` in a header's name is a dash."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().post(path, json=body, headers=sent)

    def get(self, path: str, **headers: str) -> TestResponse:
        """Get an address."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().get(path, headers=sent)

    def token(self, count: int = 3) -> str:
        """Return the token of a new payment request."""
        answer = self.post("/api/images/buy", {"count": count})
        assert answer.status_code == 402, answer.text
        return answer.text

    def pay(self, token: str) -> TestResponse:
        """Pay a payment request in the sandbox."""
        return self.post("/api/agents/sandbox-payments", {"paymentRequestToken": token})

    def claim(self, token: str) -> TestResponse:
        """Ask for the receipt of a payment request."""
        return self.post("/api/ack/receipts", {"paymentRequestToken": token})

    def receipt(self, count: int = 3) -> str:
        """Buy credits; return their receipt."""
        token = self.token(count)
        assert self.pay(token).status_code == 200
        return str(self.claim(token).json["receipt"])

    def generate(self, receipt: str | None = None, **body: Any) -> TestResponse:
        """Ask for an image without waiting for it."""
        sent = body | ({"receipt": receipt} if receipt else {})
        return self.post("/api/images/generate", sent, Prefer="respond-async")

    def make(self, receipt: str, **body: Any) -> TestResponse:
        """Ask for an image, let the worker make it, and get it."""
        asked = self.generate(receipt, **body)
        assert asked.status_code == 202, asked.text
        self.queue.run()
        body = {"receipt": receipt, **body}
        key = asked.headers["Idempotency-Key"]
        return self.post("/api/images/generate", body, Idempotency_Key=key)

    def balance(self, receipt: str) -> dict[str, Any]:
        """Return what is left on a receipt."""
        answer = self.get("/api/receipts/balance", Authorization=f"Bearer {receipt}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def count(self, model: type[Model]) -> int:
        """Return how many rows a table has."""
        with self.app.app_context(), snapshot() as session:
            return session.execute(select(func.count()).select_from(model)).scalar_one()

    def request_row(self, request_id: str) -> PaymentRequest:
        """Return a payment request as it is stored."""
        with self.app.app_context(), snapshot() as session:
            return session.get_one(PaymentRequest, request_id)

    def settlement_row(self, request_id: str) -> Settlement:
        """Return the settlement of a payment request."""
        query = select(Settlement).where(Settlement.payment_request_id == request_id)
        with self.app.app_context(), snapshot() as session:
            return session.scalars(query).one()

    def at_once(self, *acts: Callable[[], T]) -> list[T]:
        """Run actions in threads that start together."""
        barrier = threading.Barrier(len(acts))

        def one(act: Callable[[], T]) -> T:
            barrier.wait()
            return act()

        with ThreadPoolExecutor(len(acts)) as pool:
            return list(pool.map(one, acts))

    def check_ledger(self) -> None:
        """Fail unless every invariant of the ledger holds."""
        with self.app.app_context(), snapshot() as session:
            report = ledger.proof.check(session.connection())
            report.results.append(ledger_check.check(session.connection()))
        assert report.ok, report.as_text()


@pytest.fixture
def provider() -> Scripted:
    """The provider of every model; it delivers every order until a test scripts otherwise."""
    return Scripted()


@pytest.fixture
def app(app: Flask, provider: Scripted) -> Flask:
    """The app with the scripted provider."""
    provide(app, Providers, Providers({}, offline=provider))
    return app


@pytest.fixture
def agent_shop(app: Flask) -> Iterator[AgentShop]:
    """The app as agents call it; afterwards the ledger's invariants must hold."""
    made = AgentShop(app)
    yield made
    made.check_ledger()


@pytest.fixture(scope="session")
def listening() -> Iterator[FakeFacilitator]:
    """A facilitator at one address for all tests, so that the app is built once."""
    with FakeFacilitator(token="facilitator-token-of-tests") as server:
        yield server


@pytest.fixture
def facilitator(listening: FakeFacilitator) -> FakeFacilitator:
    """The facilitator as new."""
    listening.recover()
    listening.calls.clear()
    listening.transfers.clear()
    listening.remembers = False
    listening.token = "facilitator-token-of-tests"
    return listening


@pytest.fixture
def signed_shop(
    database_kind: str, shared_apps: SharedApps, facilitator: FakeFacilitator
) -> Iterator[SignedShop]:
    """The app with both rails; afterwards the ledger holds, and nobody got more than was paid."""
    from tests.agents.signed_shop import SignedShop, environ

    app = shared_apps.fresh(database_kind, environ(facilitator))
    made = SignedShop(app, facilitator)
    made.forget_failures()
    yield made
    made.check_ledger()
    assert made.credits_granted() <= made.money_received()


@pytest.fixture
def signed_clock(signed_shop: SignedShop) -> StoppedClock:
    """The clock of that app."""
    with signed_shop.app.app_context():
        return get_clock()
