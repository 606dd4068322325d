"""Payment requests of agents: their state, and the page on which one is paid by card."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, make_response, request
from pydantic import Field

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
from creditapp.http.documented import Answer, Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.http.schemas import Credits, Moment, Schema, one_of
from creditapp.http.stripe_requests import asks_stripe
from creditapp.units import MICRO_PER_CREDIT

routes = Blueprint("payment_requests", __name__)
routes.before_request(require_agents_key)


class PaymentRequestState(Schema):
    """The state of a payment request."""

    id: str
    description: str
    state: Annotated[str, one_of([*STATES, "expired"])]
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
    "The state of a payment request: JSON, or a page for a browser that comes back from paying",
    PaymentRequestState,
    also={
        200: Answer(
            "The state, or a page", {"application/json": PaymentRequestState, "text/html": str}
        )
    },
    refuses=[NotFound, UnknownPaymentRequest],
)
def show_payment_request(request_id: str) -> Response:
    """Return whether a payment request is open, paid or expired; it holds nothing secret."""
    row, moment = requests.find(request_id), now()
    is_expired = row.state == "open" and row.expires_at <= moment
    answer = PaymentRequestState(
        id=row.id,
        description=requests.title(row),
        state="expired" if is_expired else row.state,
        credits_micro=row.count * MICRO_PER_CREDIT,
        amount=row.price_minor,
        currency=row.currency,
        expires_at=row.expires_at,
    )
    kinds = ["application/json", "text/html"]
    if request.accept_mimetypes.best_match(kinds, kinds[0]) == "text/html":
        response = _show_page(answer, row.checkout_url)
    else:
        response = json_response(answer)
    response.vary.add("Accept")
    return response


def _show_page(answer: PaymentRequestState, checkout_url: str | None) -> Response:
    page = render_page(
        "pages/payment_requests/index.html",
        title=answer.description,
        amount_minor=answer.amount,
        currency=answer.currency,
        state=answer.state,
        cancelled=answer.state == "open" and request.args.get("purchase") == "cancelled",
        checkout_url=checkout_url if answer.state == "open" else None,
    )
    return make_response(page)


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
