"""Credits of a receipt: what is left of them."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response
from pydantic import WithJsonSchema

from creditapp.agents import receipts
from creditapp.agents.refusals import OF_RECEIPTS
from creditapp.api.agents import require_agents_key
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import NotFound
from creditapp.http import bearer
from creditapp.http.json_provider import json_response
from creditapp.http.openapi import Documented
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema

routes = Blueprint("agent_receipts", __name__)
routes.before_request(require_agents_key)

_STATUSES = ["active", "exhausted", "frozen", "refunded"]
OneOfStatuses = Annotated[str, WithJsonSchema({"type": "string", "enum": _STATUSES})]


class ReceiptBalanceAnswer(Schema):
    """The credits of a receipt; one credit makes one image."""

    initial_micro: Credits
    remaining_micro: Credits
    held_micro: Credits
    expires_at: Moment
    status: OneOfStatuses


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
    receipt = receipts.prove(reading(), bearer.sent_token(), now=moment)
    balance = receipts.balance(reading(), receipt, now=moment)
    return json_response(ReceiptBalanceAnswer.model_validate(balance))
