"""``/api/credits/spend`` and holds: credits for features of other programs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field, StrictInt

from creditapp.api.generations import ChargeAnswer
from creditapp.api.requests import (
    CREDIT_HEADERS,
    IdempotentBody,
    credit_headers,
    parse_spending,
    pop_max_micro,
    replay_headers,
)
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.errors import Conflict
from creditapp.features import FeatureSpend, Spent, spending
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response, parse_members, read_json
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, CreditsInput, Moment, PlainText, RequestSchema, Schema
from creditapp.http.sessions import require_member
from creditapp.http.viewer import forget_viewer

routes = Blueprint("spending", __name__)

_HEADERS = ["Idempotency-Key", "X-Max-Credits"]
_ANSWER_HEADERS = [*CREDIT_HEADERS, "Idempotent-Replayed"]


class SpendBody(IdempotentBody):
    """Credits to spend for a feature; an idempotency key, here or in the header, is required."""

    amount: CreditsInput
    feature: str = Field(description="Such as ai-generation; it is in the history.")
    description: PlainText = Field(default="", max_length=200, description="Shown in the history.")


class SpendAnswer(Schema):
    """The credits that were spent, and the balance after it."""

    success: bool = True
    entry_id: str | None
    spent_micro: Credits
    balance_micro: Credits
    credits: ChargeAnswer


class HoldBody(SpendBody):
    """Credits to set aside for a feature, for some seconds."""

    seconds: Annotated[StrictInt, Field(ge=1, le=spending.HOLD_SECONDS_MAX)] = 900


class HoldAnswer(Schema):
    """A hold: ``open``, ``captured`` or ``released``; ``captured`` credits of it were taken."""

    id: str
    state: str
    amount_micro: Credits
    captured_micro: Credits
    expires_at: Moment
    balance_micro: Credits
    credits: ChargeAnswer


class CaptureBody(RequestSchema):
    """The part of a hold that was used; without an amount, all of it."""

    amount: CreditsInput | None = None


@routes.post("/credits/spend")
@policy("user", scope="spend")
@Documented(
    "Spend credits for a feature",
    SpendAnswer,
    body=SpendBody,
    headers=_HEADERS,
    answer_headers=_ANSWER_HEADERS,
    requires_key=True,
)
def spend_credits() -> Response:
    """Take credits at once."""
    by, body, key = parse_spending(SpendBody)
    with transaction() as session:
        spent = spending.spend(session, by, _order(body, key), now=now())
    answer = SpendAnswer(
        entry_id=spent.entry_id,
        spent_micro=spent.amount_micro,
        balance_micro=spent.available_micro,
        credits=_charge(spent),
    )
    return _respond(answer, spent, 200)


@routes.post("/credits/holds")
@policy("user", scope="spend")
@Documented(
    "Set credits aside for a feature",
    HoldAnswer,
    body=HoldBody,
    headers=_HEADERS,
    answer_headers=_ANSWER_HEADERS,
    requires_key=True,
    status=201,
)
def hold_credits() -> Response:
    """Set credits aside until they are captured, released, or the time is over."""
    by, body, key = parse_spending(HoldBody)
    with transaction() as session:
        held = spending.hold(session, by, _order(body, key, body.seconds), now=now())
    return _respond(_hold(held), held, 201)


@routes.post("/credits/holds/<hold_id>/capture")
@policy("user", scope="spend")
@Documented(
    "Capture what was used of a hold",
    HoldAnswer,
    body=CaptureBody,
    headers=["X-Max-Credits"],
    body_optional=True,
    answer_headers=CREDIT_HEADERS,
    refuses=[Conflict],
)
def capture_hold(hold_id: str) -> Response:
    """Take what was used; the rest returns."""
    sent = read_json() if request.content_length else {}
    by = replace(require_member(), max_micro=pop_max_micro(sent))
    body = parse_members(CaptureBody, sent)
    with transaction() as session:
        captured = spending.capture(session, by, hold_id, body.amount, now=now())
    return _respond(_hold(captured), captured, 200)


@routes.post("/credits/holds/<hold_id>/release")
@policy("user", scope="spend")
@Documented(
    "Return all that a hold set aside",
    HoldAnswer,
    answer_headers=CREDIT_HEADERS,
    refuses=[Conflict],
)
def release_hold(hold_id: str) -> Response:
    """Release a hold."""
    with transaction() as session:
        released = spending.release(session, require_member(), hold_id, now=now())
    return _respond(_hold(released), released, 200)


def _order(body: SpendBody, key: str, hold_seconds: int = 0) -> FeatureSpend:
    return FeatureSpend(
        amount_micro=body.amount,
        feature=body.feature,
        key=key,
        note=body.description,
        hold_seconds=hold_seconds,
    )


def _hold(spent: Spent) -> HoldAnswer:
    return HoldAnswer(
        id=spent.hold_id,
        state=spent.state,
        amount_micro=spent.amount_micro,
        captured_micro=spent.captured_micro if spent.state == "captured" else 0,
        expires_at=datetime.fromisoformat(spent.expires_at or ""),
        balance_micro=spent.available_micro,
        credits=_charge(spent),
    )


def _charge(spent: Spent) -> ChargeAnswer:
    used_micro = spent.captured_micro if spent.state == "captured" else 0
    return ChargeAnswer(used_micro=used_micro, remaining_micro=spent.available_micro)


def _respond(answer: Schema, spent: Spent, status: int) -> Response:
    forget_viewer()
    headers = credit_headers(spent.captured_micro, spent.available_micro)
    return json_response(answer, status, headers | replay_headers(replayed=spent.replayed))
