"""Payment requests of agents: their state, and the page on which one is paid by card."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field, WithJsonSchema

from creditapp.agents import checkout, requests
from creditapp.agents.models import STATES
from creditapp.agents.refusals import (
    PaymentRequestExpired,
    PaymentRequestNotOpen,
    UnknownPaymentRequest,
)
from creditapp.api.agents import require_agents_key
from creditapp.clock import now
from creditapp.errors import Conflict, NotFound, PaymentUnavailable
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema
from creditapp.http.stripe_requests import asks_stripe
from creditapp.units import MICRO_PER_CREDIT

routes = Blueprint("payment_requests", __name__)
routes.before_request(require_agents_key)

OneOfStates = Annotated[str, WithJsonSchema({"type": "string", "enum": [*STATES, "expired"]})]


class PaymentRequestState(Schema):
    """The state of a payment request."""

    id: str
    description: str
    state: OneOfStates
    credits_micro: Credits
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str
    expires_at: Moment


class CheckoutPageAnswer(Schema):
    """The page on which the payment request is paid by card."""

    id: str
    url: str
    expires_at: Moment


@routes.get("/payment-requests/<request_id>")
@policy("public")
@Documented(
    "The state of a payment request", PaymentRequestState, refuses=[NotFound, UnknownPaymentRequest]
)
def show_payment_request(request_id: str) -> Response:
    """Return whether a payment request is open, paid or expired; it holds nothing secret."""
    request, moment = requests.find(request_id), now()
    is_expired = request.state == "open" and request.expires_at <= moment
    answer = PaymentRequestState(
        id=request.id,
        description=requests.title(request),
        state="expired" if is_expired else request.state,
        credits_micro=request.count * MICRO_PER_CREDIT,
        amount=request.price_minor,
        currency=request.currency,
        expires_at=request.expires_at,
    )
    return json_response(answer)


@routes.post("/payment-requests/<request_id>/checkout")
@policy("public")
@asks_stripe
@Documented(
    "The page on which a payment request is paid by card",
    CheckoutPageAnswer,
    refuses=[
        *(NotFound, Conflict, PaymentUnavailable),
        *(UnknownPaymentRequest, PaymentRequestExpired, PaymentRequestNotOpen),
    ],
)
def open_checkout_page(request_id: str) -> Response:
    """Open the page at Stripe, once; the same request gets the same page."""
    page = checkout.open_page(request_id, now=now())
    return json_response(CheckoutPageAnswer.model_validate(page))
