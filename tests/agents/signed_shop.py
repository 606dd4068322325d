"""The app with x402 and MPP on, as payers use it."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from creditapp import agents
from creditapp.agents.models import PaymentRequest
from creditapp.agents.rails import Rails
from creditapp.agents.rails.evm import EvmRail
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.ledger.models import Grant
from creditapp.services import get
from tests.agents.conftest import ACCEPT_JSON, AgentShop
from tests.agents.wallets import PAY_TO, Wallet
from tests.fakes.facilitator import FakeFacilitator

BUY = "/api/images/buy"
DOLLAR = 1_000_000
ADMIN_KEY = "an-operators-key-of-tests-0123"


def environ(facilitator: FakeFacilitator) -> dict[str, str]:
    """Return the variables of a site that takes both."""
    return {
        "CREDITAPP_X402_PAY_TO": PAY_TO,
        "CREDITAPP_X402_NETWORK": "base-sepolia",
        "CREDITAPP_X402_FACILITATOR": facilitator.address,
        "CREDITAPP_X402_FACILITATOR_TOKEN": facilitator.token,
        "ADMIN_API_KEY": ADMIN_KEY,
        "CREDITAPP_MPP_SECRET": "a-secret-of-tests-that-signs-challenges",
    }


class SignedShop(AgentShop):
    """The app with x402 and MPP on, their facilitator, and a payer."""

    def __init__(self, app: Flask, facilitator: FakeFacilitator) -> None:
        super().__init__(app)
        self.facilitator = facilitator
        self.wallet = Wallet()

    def challenge(self, count: int = 3) -> TestResponse:
        """Return a 402 for so many credits."""
        answer = self.post(BUY, {"count": count})
        assert answer.status_code == 402, answer.text
        return answer

    def payment(self, rail: str, count: int = 3, **changes: Any) -> dict[str, str]:
        """Return the header of a payment for so many credits."""
        return self.paying(rail, self.challenge(count), **changes)

    def paying(self, rail: str, challenge: TestResponse, **changes: Any) -> dict[str, str]:
        """Return the header of a payment for a 402."""
        if rail == "x402":
            return {"PAYMENT-SIGNATURE": self.wallet.x402(challenge, **changes)}
        return {"Authorization": self.wallet.mpp(challenge, **changes)}

    def buy(self, payment: dict[str, str], count: int = 3, **headers: str) -> TestResponse:
        """Send a payment."""
        return self.post(BUY, {"count": count}, **payment, **ACCEPT_JSON, **headers)

    def forget_failures(self) -> None:
        """Let the app forget that its facilitator did not answer: tests share it."""
        with self.app.app_context():
            rail = get(Rails).named("x402")
        assert isinstance(rail, EvmRail)
        rail.chain.facilitator._rests_until = 0.0

    def sweep(self) -> None:
        """Run the sweep."""
        with self.app.app_context():
            agents.sweep(now=now())

    def credits_granted(self) -> int:
        """Return the credits of all grants."""
        with self.app.app_context(), snapshot() as session:
            return sum(session.scalars(select(Grant.amount_micro)).all()) // 1_000_000

    def money_received(self) -> int:
        """Return the dollars that arrived."""
        return self.facilitator.received(PAY_TO) // DOLLAR

    def states(self) -> list[str]:
        """Return the states of all payment requests."""
        with self.app.app_context(), snapshot() as session:
            return sorted(session.scalars(select(PaymentRequest.state)).all())
