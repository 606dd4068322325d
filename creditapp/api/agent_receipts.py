"""Credits of a receipt: what is left, refunds by the operator, and moves into an account."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from creditapp.agents import account, receipts, refund
from creditapp.agents.refusals import OF_RECEIPTS, CreditsExhausted
from creditapp.api.agents import require_agents_key
from creditapp.api.requests import parse_body
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import Conflict, NotFound, PaymentUnavailable, ValidationFailed
from creditapp.http import bearer
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, PlainText, RequestSchema, Schema, one_of
from creditapp.http.sessions import require_member
from creditapp.http.stripe_requests import asks_stripe

routes = Blueprint("agent_receipts", __name__)
routes.before_request(require_agents_key)


class ReceiptBalanceAnswer(Schema):
    """The credits of a receipt; one credit makes one image."""

    initial_micro: Credits
    remaining_micro: Credits
    held_micro: Credits
    expires_at: Moment
    status: Annotated[str, one_of(["active", "exhausted", "frozen", "refunded"])]


class RefundBody(RequestSchema):
    """The receipt to refund, or the id of its purchase."""

    receipt: str | None = None
    purchase_id: PlainText | None = Field(None, description="The payment request's id: prq_...")


class RefundAnswer(Schema):
    """A refund of unused credits at the unit price that was paid."""

    refund_id: str | None = Field(
        None, description="ref_..., for ./run agent-refunds; null while nothing is to be paid back."
    )
    purchase_id: str
    credits_micro: Credits
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str
    held_micro: Credits = Field(
        description="Set aside for images that are being made; ask again for what fails of them."
    )
    rail: str
    payer: str | None = Field(None, description="The payer's DID, where the rail named one.")
    sent: bool = Field(description="false: this rail pays nothing back; send the money yourself.")


class RedeemBody(RequestSchema):
    """The receipt whose rest goes to the account."""

    receipt: str


class RedeemAnswer(Schema):
    """The credits that moved, and the account's balance."""

    moved_micro: Credits
    balance_micro: Credits


@routes.get("/receipts/balance")
@policy("public")
@Documented(
    "Credits left on the receipt of the header Authorization",
    ReceiptBalanceAnswer,
    refuses=[NotFound, *OF_RECEIPTS],
)
def show_receipt_balance() -> Response:
    """Return what is left on the receipt that came as a bearer token."""
    moment = now()
    receipt = receipts.prove(bearer.sent_token(), now=moment)
    balance = receipts.balance(reading(), receipt, now=moment)
    return json_response(ReceiptBalanceAnswer.model_validate(balance))


@routes.post("/receipts/refund")
@policy("key")
@asks_stripe
@Documented(
    "Refund the unused credits of a receipt, which then makes nothing more",
    RefundAnswer,
    body=RefundBody,
    headers=["x-admin-key"],
    refuses=[NotFound, Conflict, PaymentUnavailable, *OF_RECEIPTS],
)
def refund_receipt() -> Response:
    """Freeze a receipt and pay its unused credits back."""
    body = parse_body(RefundBody)
    if (body.receipt is None) == (body.purchase_id is None):
        raise ValidationFailed.of("receipt", "Send the receipt or the purchaseId.")
    request_id = body.purchase_id or ""
    if body.receipt is not None:
        request_id = receipts.prove(body.receipt, now=now()).request.id
    refunded = refund.refund(request_id, now=now())
    answer = RefundAnswer(
        refund_id=refunded.refund_id,
        purchase_id=refunded.purchase_id,
        credits_micro=refunded.credits_micro,
        amount=refunded.amount_minor,
        currency=refunded.currency,
        held_micro=refunded.held_micro,
        rail=refunded.rail,
        payer=refunded.payer,
        sent=refunded.sent,
    )
    return json_response(answer)


@routes.post("/receipts/redeem")
@policy("user", scope="purchase")
@Documented(
    "Move the rest of a receipt into the account",
    RedeemAnswer,
    body=RedeemBody,
    refuses=[NotFound, CreditsExhausted, *OF_RECEIPTS],
)
def redeem_receipt() -> Response:
    """Move all that is left of a receipt into the caller's account."""
    text, member, moment = parse_body(RedeemBody).receipt, require_member(), now()
    receipt = receipts.prove(text, now=moment)
    with transaction() as session:
        moved = account.move_to_account(session, receipt, member.id, now=moment)
    return json_response(RedeemAnswer.model_validate(moved))
