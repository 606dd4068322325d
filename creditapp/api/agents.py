"""Buying by HTTP 402: payment requests, the payment of one, and its receipt.

Every route is also reachable without ``/api``, and answers JSON there too.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Response, request
from pydantic import Field, StrictInt

from creditapp import agents
from creditapp.agents import receipts, requests, tokens
from creditapp.agents.rails import Rails, sandbox
from creditapp.agents.refusals import (
    OF_PAYMENTS,
    OF_RECEIPTS,
    PaymentRefused,
    UnknownPaymentRequest,
)
from creditapp.agents.requests import Challenge
from creditapp.agents.settlement import Purchase
from creditapp.agents.tokens import PaymentProof
from creditapp.api.requests import IdempotentBody, optional_key, parse_body, replay_headers
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.errors import NotFound, ValidationFailed
from creditapp.http.documented import JSON, Answer, Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import limited
from creditapp.http.schemas import Credits, Moment, RequestSchema, Schema
from creditapp.http.sessions import caller_networks
from creditapp.http.stripe_requests import asks_stripe
from creditapp.rate_limits import PAYMENT_REQUESTS
from creditapp.services import get

routes = Blueprint("agents", __name__)


class BuyBody(IdempotentBody):
    """The number of image credits."""

    # The catalog says how many are sold at once, and its refusal names that number.
    count: StrictInt = Field(json_schema_extra={"minimum": 1, "maximum": 1_000_000})


class PurchaseAnswer(Schema):
    """A paid purchase, with its receipt: whoever has it can use the credits."""

    purchase_id: str
    receipt: str
    credits_micro: Credits
    remaining_micro: Credits
    expires_at: Moment


class PaymentOptionAnswer(Schema):
    """One way to pay, as the token names it."""

    id: str
    amount: int | str
    decimals: int
    currency: str
    recipient: str
    network: str | None = None
    payment_service: str | None = None
    receipt_service: str | None = None


class PaymentRequestAnswer(Schema):
    """A payment request as its token names it."""

    id: str
    description: str
    service_callback: str
    expires_at: str
    payment_options: list[PaymentOptionAnswer]


class ChallengeAnswer(Schema):
    """An offer to pay, with status 402: its signed token, and what the token says."""

    payment_request_token: str
    payment_request: PaymentRequestAnswer
    error: str | None = Field(None, description="Why the payment of this request was refused.")


class ReceiptBody(RequestSchema):
    """The payment request's token, once it is paid, or a payload that its payer signed."""

    payment_request_token: str | None = None
    payment_option_id: str | None = None
    payload: str | None = Field(
        None,
        description="In place of the members above a JWT that has them, signed (EdDSA) with the "
        "payer's did:key, who is then named by the receipt.",
    )


class ReceiptDetails(Schema):
    """The purchase that a receipt proves."""

    purchase_id: str
    payment_option_id: str
    rail: str
    livemode: bool
    credits_micro: Credits
    remaining_micro: Credits
    expires_at: Moment


class ReceiptAnswer(Schema):
    """A receipt and what it proves."""

    receipt: str
    details: ReceiptDetails


class SandboxPaymentBody(RequestSchema):
    """The token of the payment request to pay."""

    payment_request_token: str


class SandboxPaymentAnswer(Schema):
    """A payment of the sandbox, in which no money moved."""

    payment_request_id: str
    reference: str
    livemode: bool
    notice: str = "No real money moved: this is a payment of the sandbox."


PAYMENT_LIMIT: Final = limited(
    PAYMENT_REQUESTS, "payment requests", counts_when=lambda answer: answer.status_code == 402
)
"""Decorator of a view that answers 402 with a payment request."""


@routes.post("/images/buy")
@policy("public")
@PAYMENT_LIMIT
@Documented(
    "Buy image credits: 402 with a payment request, 200 with a receipt once paid",
    PurchaseAnswer,
    body=BuyBody,
    headers=["Idempotency-Key", "PAYMENT-SIGNATURE"],
    answer_headers=["Idempotent-Replayed", "PAYMENT-RESPONSE", "Payment-Receipt"],
    also={402: Answer("A payment request", {JSON: ChallengeAnswer, "text/plain": str})},
    refuses=[NotFound, *OF_PAYMENTS],
    sells="credits",
)
def buy() -> Response:
    """Answer 402 with a payment request; with a payment in the headers settle it and answer 200."""
    body = parse_body(BuyBody)
    bought = buy_or_challenge(body.count, optional_key(body.idempotency_key))
    return bought if isinstance(bought, Response) else _purchased(bought)


def buy_or_challenge(count: int, key: str | None) -> Purchase | Response:
    """Settle the payment in the request's headers, or return a 402 with a payment request."""
    refusal = None
    try:
        payment = get(Rails).read_payment(_headers())
        if payment is not None:
            payment_key = key or payment.idempotency_key
            return agents.pay(payment, _headers(), count, key=payment_key, now=now())
    except PaymentRefused as error:
        refusal, key = str(error), None
    caller = f"network:{caller_networks()[0].key}"
    return _challenged(agents.open_request(count, now=now(), caller=caller, key=key), refusal)


@routes.post("/ack/receipts")
@policy("public")
@asks_stripe
@Documented(
    "The receipt of a paid payment request",
    ReceiptAnswer,
    body=ReceiptBody,
    refuses=[NotFound, *OF_RECEIPTS, *OF_PAYMENTS],
)
def issue_receipt() -> Response:
    """Return the receipt, after the rail has proved the payment."""
    body = parse_body(ReceiptBody)
    if (body.payment_request_token is None) == (body.payload is None):
        raise ValidationFailed.of(
            "paymentRequestToken", "Send the paymentRequestToken, or a payload that has it."
        )
    if body.payload is not None:
        proof = tokens.read_payment_proof(body.payload)
    else:
        proof = PaymentProof(body.payment_request_token or "", body.payment_option_id)
    purchase = receipts.issue(proof)
    settled = purchase.settlement
    details = ReceiptDetails(
        purchase_id=purchase.request.id,
        payment_option_id=settled.option_id,
        rail=settled.rail,
        livemode=settled.livemode,
        credits_micro=purchase.credits_micro,
        remaining_micro=purchase.remaining_micro,
        expires_at=settled.expires_at,
    )
    return json_response(ReceiptAnswer(receipt=purchase.receipt, details=details))


@routes.post("/agents/sandbox-payments")
@policy("public")
@Documented(
    "Pay a payment request without real money; not in production",
    SandboxPaymentAnswer,
    body=SandboxPaymentBody,
    refuses=[NotFound, *OF_PAYMENTS],
)
def pay_in_sandbox() -> Response:
    """Pay a payment request in the sandbox; the receipt service then issues its receipt."""
    rail = get(Rails).named(sandbox.NAME)
    if rail is None:
        raise NotFound
    headers = {sandbox.HEADER: parse_body(SandboxPaymentBody).payment_request_token}
    payment = rail.read_payment(headers)
    if payment is None or payment.request_id is None:
        raise UnknownPaymentRequest("This is no payment request of this server.")
    count = requests.find(payment.request_id).count
    # A repeated payment of the same token finds the first one.
    purchase = agents.pay(payment, headers, count, key=sandbox.NAME, now=now())
    answer = SandboxPaymentAnswer(
        payment_request_id=purchase.request.id,
        reference=purchase.settlement.ref,
        livemode=purchase.settlement.livemode,
    )
    return json_response(answer)


def require_agents_key() -> None:
    """Raise ``NotFound`` on a site that has no key to sign what it sells to agents."""
    if not get(Settings).agents_key:
        raise NotFound("This site sells no image credits to agents.")


routes.before_request(require_agents_key)


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _purchased(purchase: Purchase) -> Response:
    answer = PurchaseAnswer(
        purchase_id=purchase.request.id,
        receipt=purchase.receipt,
        credits_micro=purchase.credits_micro,
        remaining_micro=purchase.remaining_micro,
        expires_at=purchase.settlement.expires_at,
    )
    headers = {
        "Cache-Control": "private, no-store",  # MPP wants the first word of its receipts
        **purchase.headers,
        **replay_headers(replayed=purchase.replayed),
    }
    return json_response(answer, 200, headers)


def _challenged(challenge: Challenge, refusal: str | None = None) -> Response:
    headers = {**challenge.headers(), **replay_headers(replayed=challenge.replayed)}
    if request.accept_mimetypes.best_match(["text/plain", JSON]) == JSON:
        described: dict[str, Any] = challenge.described()
        content = {
            "paymentRequestToken": challenge.token,
            "paymentRequest": described,
            "error": refusal,
        }
        return json_response(ChallengeAnswer.model_validate(content), 402, headers)
    response = Response(challenge.token, 402, headers, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-store"
    return response
