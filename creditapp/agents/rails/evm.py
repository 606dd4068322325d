"""Payments in USDC on an EVM chain, by signed authorizations; what x402 and MPP have in common.

``pympp`` makes the challenges and verifies payments: terms, signature, validity, and for MPP that
the challenge is ours. This module gives it the price of the stored payment request, the table of
claims as its store, and the operator's facilitator. It is asynchronous, so each call runs its own
event loop to the end. The library is the extra ``agents``, and imported when a rail is configured.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from creditapp import clock
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import claims
from creditapp.agents.rails.chain import Chain
from creditapp.agents.rails.claims import Claim
from creditapp.agents.rails.rail import Payment, PaymentOption, Settled
from creditapp.agents.refusals import (
    CredentialReplayed,
    PaymentRefused,
    PaymentServiceUnavailable,
    SettlementUnknown,
)

if TYPE_CHECKING:
    from mpp.server import ComposedHandler
    from mpp.server.http import PaymentRequired
    from mpp.x402 import PaymentPayload, PaymentRequirements, SettleResponse, VerifyResponse

HEADER_CHARACTERS_MAX: Final = 16 * 1024
"""Of a payment; a real one has 2,000."""

REQUEST: Final = "paymentRequest"
"""The member of a challenge's opaque data that names the payment request."""

UNIT: Final = 10_000
"""Of a cent, in USDC's smallest units."""

ASKS_FOR: Final = timedelta(hours=1)
"""How long after its end an authorization of unknown outcome is settled again by itself."""


class EvmRail(ABC):
    """A rail of signed authorizations; subclasses know the headers."""

    name: str
    header: str
    """The header of a payment, in lower case."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    @abstractmethod
    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return the payment in a request's headers; None without one of this rail."""

    @abstractmethod
    def challenge_of(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return this rail's headers of pympp's 402."""

    @abstractmethod
    def receipt_headers(self, claim: Claim) -> Mapping[str, str]:
        """Return the headers of the answer to a settled payment."""

    def payment_option(self, request: PaymentRequest) -> PaymentOption | None:
        """Return the option in USDC, which this rail takes for a price in dollars alone."""
        if request.currency != "USD":
            return None
        return PaymentOption(
            id=self.name,
            amount=str(request.price_minor * UNIT),
            decimals=self.chain.asset.decimals,
            currency="USDC",
            recipient=f"did:pkh:{self.chain.asset.network}:{self.chain.pay_to}",
            network=self.chain.asset.network,
            payment_service=self.chain.resource,
        )

    def challenge_headers(self, request: PaymentRequest) -> Mapping[str, str]:
        """Return the headers of the 402 for a payment request; none for another currency."""
        if request.currency != "USD":
            return {}
        from mpp.server.http import PaymentRequired

        handler = self._handler(request, _Attempt(self, request, None))
        result = self._run(handler, {})
        assert isinstance(result, PaymentRequired)  # nothing was paid
        return self.challenge_of(result.challenge.headers)

    def settle(self, request: PaymentRequest, headers: Mapping[str, str]) -> Settled:
        """Verify and settle the payment in the headers, or learn how it ended before."""
        payment = self.read_payment(headers)
        assert payment is not None  # the caller has read it before
        earlier = claims.find(request.id)
        if not self.chain.seats.acquire(blocking=False):
            raise PaymentServiceUnavailable if earlier is None else SettlementUnknown
        try:
            if earlier is not None:
                return self._settle_earlier(earlier, payment)
            return self._settle_new(request, payment, headers)
        finally:
            self.chain.seats.release()

    def _settle_earlier(self, earlier: Claim, payment: Payment) -> Settled:
        # Nothing but an unknown outcome may be raised here: all else would open the request again.
        if fingerprint(earlier.payment["payload"]["authorization"]) != payment.fingerprint:
            raise SettlementUnknown("Another payment of this request is under way.")
        return self._settled(self._settle_again(earlier))

    def _settle_new(
        self, request: PaymentRequest, payment: Payment, headers: Mapping[str, str]
    ) -> Settled:
        if all(option["id"] != self.name for option in request.options):
            raise PaymentRefused(f"This payment request cannot be paid by {self.name}.")
        attempt = _Attempt(self, request, payment.idempotency_key)
        handler = self._handler(request, attempt)
        result = self._run(handler, {self.header: headers[self.header]})
        if result.status != 200:
            _refuse(result)
        if attempt.claim is None:
            raise SettlementUnknown
        return self._settled(attempt.claim)

    def recover(self, request: PaymentRequest) -> Settled | None:
        """Return the settlement of the authorization that was claimed for a request, or None."""
        earlier = claims.find(request.id)
        if earlier is not None and earlier.reference is None and self.chain.facilitator.rests:
            raise SettlementUnknown("The facilitator does not answer.")
        return None if earlier is None else self._settled(self._settle_again(earlier))

    def refund(self, settlement: Settlement, amount_minor: int, refund_id: str) -> bool:
        """Return False: the operator sends USDC from the wallet that they alone hold the key of."""
        return False

    def _settle_again(self, earlier: Claim) -> Claim:
        """Settle a claimed authorization again, which moves its money at most once."""
        if earlier.reference is not None:
            return earlier
        if earlier.valid_before + ASKS_FOR < clock.now():
            raise SettlementUnknown("The outcome of this payment has to be looked up by hand.")
        moved = self.chain.facilitator.settle(earlier.payment, earlier.terms, again=True)
        return claims.note_reference(earlier, moved.transaction, now=clock.now())

    def _settled(self, claim: Claim) -> Settled:
        return replace(claims.settled(claim), headers=self.receipt_headers(claim))

    def _handler(self, request: PaymentRequest, attempt: _Attempt) -> ComposedHandler:
        from mpp.methods.evm import server as evm
        from mpp.server import Mpp

        method = evm.charge(
            currency=self.chain.asset,
            recipient=self.chain.pay_to,
            facilitator=attempt,
            store=attempt,
            route_binding="resource",
        )
        engine = Mpp(method, realm=self.chain.realm, secret_key=self.chain.secret)
        handler: ComposedHandler = engine.charge(
            amount=f"{request.price_minor // 100}.{request.price_minor % 100:02}",
            description=f"{request.count} image credits",
            # Of their clock, which is not the one that tests and demos move.
            expires_in=max(request.expires_at - clock.now(), timedelta(seconds=1)),
            meta={REQUEST: request.id},
        )
        return handler

    def _run(self, handler: ComposedHandler, headers: Mapping[str, str]) -> Any:
        from mpp.server import Request

        return asyncio.run(handler(Request("POST", self.chain.resource, headers)))


class _Attempt:
    """One paid request as pympp sees it: its facilitator, and its store of claims."""

    def __init__(self, rail: EvmRail, request: PaymentRequest, identifier: str | None) -> None:
        self._rail, self._request, self._identifier = rail, request, identifier
        self._asked: tuple[dict[str, Any], dict[str, Any]] | None = None
        self.claim: Claim | None = None

    async def verify(
        self, payment_payload: PaymentPayload, payment_requirements: PaymentRequirements
    ) -> VerifyResponse:
        """Ask the facilitator; what refuses the payment is raised."""
        self._asked = dict(payment_payload), dict(payment_requirements)
        self._rail.chain.facilitator.verify(*self._asked)
        return {"isValid": True}

    async def settle(
        self, payment_payload: PaymentPayload, payment_requirements: PaymentRequirements
    ) -> SettleResponse:
        """Settle the claimed payment. A refusal takes the claim back, if no money moved."""
        assert self.claim is not None  # claimed before it is settled
        facilitator = self._rail.chain.facilitator
        try:
            moved = facilitator.settle(self.claim.payment, self.claim.terms)
        except (PaymentRefused, CredentialReplayed):
            await self.delete(self.claim.key)
            raise
        return {"success": True, "transaction": moved.transaction, "network": ""}

    async def get(self, key: str) -> Any | None:
        """Return whether an authorization was claimed before."""
        return claims.is_claimed(key) or None

    async def put_if_absent(self, key: str, value: Any) -> bool:
        """Claim the authorization that was verified."""
        assert self._asked is not None  # verified before it is claimed
        payment, terms = self._asked
        claim = Claim(
            key=key, request_id=self._request.id, rail=self._rail.name, payment=payment, terms=terms
        )
        if not claims.claim(claim, self._identifier, now=clock.now()):
            return False
        self.claim = claim
        return True

    async def put(self, key: str, value: Any) -> None:
        """Store the transaction of the claim."""
        assert self.claim is not None
        self.claim = claims.note_reference(self.claim, value, now=clock.now())

    async def delete(self, key: str) -> None:
        """Take the claim back."""
        if self.claim is not None:
            claims.remove(self.claim)
            self.claim = None


def _refuse(result: PaymentRequired) -> None:
    problem = json.loads(result.challenge.body or b"{}")
    if result.status == 403:
        raise CredentialReplayed("This authorization was used before.")
    raise PaymentRefused(str(problem.get("detail", "The payment is not valid."))[:300])


def fingerprint(authorization: Mapping[str, Any]) -> str:
    """Return a hash of what an authorization says; a signature can have several forms."""
    names = ("from", "to", "value", "validAfter", "validBefore", "nonce")
    values = [authorization.get(name) for name in names]
    texts = [value.lower() if isinstance(value, str) else "" for value in values]
    return sha256("|".join(texts).encode()).hexdigest()


def read_opaque(text: object) -> str:
    """Return the payment request that a challenge's opaque data names.

    Raises ``PaymentRefused``. Nothing here is trusted: the id only says which row to compare with.
    """
    try:
        padded = str(text) + "=" * (-len(str(text)) % 4)
        opaque = json.loads(urlsafe_b64decode(padded)) if text else None
    except (ValueError, RecursionError):
        opaque = None
    request_id = opaque.get(REQUEST) if isinstance(opaque, dict) else None
    if not isinstance(request_id, str) or len(request_id) > 40:
        raise PaymentRefused(
            "The payment names no payment request: send the challenge's extensions back with it."
        )
    return request_id


def check_length(value: str, header: str) -> None:
    """Refuse a header that is longer than any payment."""
    if len(value) > HEADER_CHARACTERS_MAX:
        raise PaymentRefused(f"{header} is longer than {HEADER_CHARACTERS_MAX} characters.")


def settled_at(claim: Claim) -> datetime:
    """Return when a settled claim was settled."""
    assert claim.settled_at is not None
    return claim.settled_at
