"""``/api/credits/grant``: credits given by an operator's script."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import AwareDatetime

from creditapp.api.requests import IdempotentBody, parse_body, replay_headers, require_key
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.features import OperatorGrant, grants
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, CreditsInput, PlainText, Schema

routes = Blueprint("grants", __name__)


class GrantBody(IdempotentBody):
    """Credits to give to a user; an idempotency key, here or in the header, is required."""

    user_id: PlainText
    amount: CreditsInput
    reason: PlainText
    expires_at: AwareDatetime | None = None


class GrantAnswer(Schema):
    """The credits that were granted, and the user's balance after it."""

    success: bool = True
    grant_id: str
    granted_micro: Credits
    balance_micro: Credits


@routes.post("/credits/grant")
@policy("key")
@Documented(
    "Give a user credits",
    GrantAnswer,
    body=GrantBody,
    headers=["x-admin-key", "Idempotency-Key"],
    answer_headers=["Idempotent-Replayed"],
    requires_key=True,
)
def grant_credits() -> Response:
    """Give a user credits, once for each key."""
    body = parse_body(GrantBody)
    order = OperatorGrant(
        user_id=body.user_id,
        amount_micro=body.amount,
        reason=body.reason,
        key=require_key(body.idempotency_key),
        expires_at=body.expires_at,
    )
    with transaction() as session:
        granted = grants.give(session, order, now=now())
    answer = GrantAnswer(
        grant_id=f"grant_{granted.grant_id}",
        granted_micro=granted.amount_micro,
        balance_micro=granted.available_micro,
    )
    return json_response(answer, 200, replay_headers(replayed=granted.replayed))
