"""Sandbox rail: pays a payment request without real money, in demos and tests alone.

Its payment is the header ``X-Sandbox-Payment`` with the payment request's token: that stands for a
wallet's signature. It goes through every step of a real one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from creditapp import clock
from creditapp.agents import tokens
from creditapp.agents.identity import Identity
from creditapp.agents.models import PaymentClaim, PaymentRequest, Settlement
from creditapp.agents.rails.rail import Payment, PaymentOption, Settled
from creditapp.currencies import currency_of
from creditapp.db import insert_once, snapshot, transaction
from creditapp.services import get

HEADER: Final = "x-sandbox-payment"
NAME: Final = "sandbox"


class SandboxRail:
    """A way to pay without money; production never has it."""

    name = NAME

    def __init__(self, site_url: str) -> None:
        self._site_url = site_url

    def payment_option(self, request: PaymentRequest) -> PaymentOption:
        """Return an option in the minor units of the price."""
        return PaymentOption(
            id=NAME,
            amount=request.price_minor,
            decimals=currency_of(request.currency).digits,
            currency=request.currency,
            payment_service=f"{self._site_url}/api/agents/sandbox-payments",
        )

    def challenge_headers(self, request: PaymentRequest) -> Mapping[str, str]:
        """Return none: the token names the address that takes the payment."""
        return {}

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return the payment of the token in the header."""
        token = headers.get(HEADER)
        if token is None:
            return None
        request_id = tokens.request_id_of(get(Identity), token)
        fingerprint = hashlib.sha256(token.encode()).hexdigest()
        return Payment(rail=self.name, request_id=request_id, fingerprint=fingerprint)

    def settle(self, request: PaymentRequest, headers: Mapping[str, str]) -> Settled:
        """Note the payment, once; it cannot fail."""
        with transaction() as session:
            insert_once(session, _claim(request), ["key"])
        return _settled(request)

    def recover(self, request: PaymentRequest) -> Settled | None:
        """Return the noted payment."""
        with snapshot() as session:
            claim = session.get(PaymentClaim, _key(request))
        return None if claim is None else _settled(request)

    def refund(self, settlement: Settlement, amount_minor: int, refund_id: str) -> bool:
        """Pay nothing back: no money moved."""
        return True


def _key(request: PaymentRequest) -> str:
    return f"sandbox:{request.id}"


def _claim(request: PaymentRequest) -> PaymentClaim:
    return PaymentClaim(key=_key(request), value=str(request.price_minor), created_at=clock.now())


def _settled(request: PaymentRequest) -> Settled:
    return Settled(ref=f"sandbox-{request.id}", option_id=NAME, livemode=False)
