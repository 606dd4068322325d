"""``/api/keys``: a member's API keys, which only the member can create and change, not a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import AwareDatetime, Field

from creditapp import api_keys
from creditapp.api.requests import parse_body
from creditapp.api_keys import PERIODS, ApiKey, KeySettings, Period, Scope
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import Conflict
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, CreditsInput, Moment, RequestSchema, Schema, one_of
from creditapp.http.sessions import require_member

routes = Blueprint("keys", __name__)


class BudgetBody(RequestSchema):
    """At most ``amount`` credits in each period (UTC), or in ``all`` of the key's life."""

    amount: CreditsInput
    period: Period = "all"


class NewKeyBody(RequestSchema):
    """A key to create. Without ``models`` it may use all, without ``budget`` the whole balance.

    ``models`` has ids of models, and of operations with a price of their own, such as ``audio``.
    """

    name: str
    scopes: list[Scope]
    models: list[str] | None = None
    budget: BudgetBody | None = None
    expires_at: AwareDatetime | None = None


class KeyChanges(RequestSchema):
    """Changes of a key; what is left out stays as it is."""

    name: str = ""
    scopes: Sequence[Scope] = ()
    models: list[str] | None = None
    budget: BudgetBody | None = None
    expires_at: AwareDatetime | None = None


class BudgetAnswer(Schema):
    """A key's budget and what its charges took of it; ``resetsAt`` is null without periods."""

    amount_micro: Credits
    period: Annotated[str, one_of(PERIODS)]
    spent_micro: Credits
    resets_at: Moment | None


class KeyAnswer(Schema):
    """An API key, without the key itself."""

    id: str
    name: str
    last_characters: str
    scopes: list[Scope]
    models: list[str] | None
    budget: BudgetAnswer | None
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None = Field(description="To the minute.")


class NewKeyAnswer(KeyAnswer):
    """A new API key; ``key`` is not shown again."""

    key: str


class KeyList(Schema):
    """The keys that work, the newest first; there is one page."""

    items: list[KeyAnswer]
    next_cursor: None = None


@routes.get("/keys")
@policy("user")
@Documented("The member's API keys", KeyList)
def list_keys() -> Response:
    """Return the member's API keys."""
    moment = now()
    rows = api_keys.list_keys(reading(), require_member().id, now=moment)
    spent = api_keys.spent_micro(reading(), rows, now=moment)
    return json_response(KeyList(items=[KeyAnswer(**_fields(row, spent)) for row in rows]))


@routes.post("/keys")
@policy("user")
@Documented(
    "Create an API key, which is shown once",
    NewKeyAnswer,
    body=NewKeyBody,
    status=201,
    refuses=[Conflict],
)
def create_key() -> Response:
    """Create an API key; 201 with the key."""
    settings = KeySettings(**_members(parse_body(NewKeyBody)))
    with transaction() as session:
        row, key = api_keys.create_key(session, require_member().id, settings, now=now())
    return json_response(NewKeyAnswer(**_fields(row, {}), key=key), 201)


@routes.patch("/keys/<key_id>")
@policy("user")
@Documented("Change an API key", KeyAnswer, body=KeyChanges)
def change_key(key_id: str) -> Response:
    """Change what a key may do, from its next request on."""
    changes, user_id, moment = _members(parse_body(KeyChanges)), require_member().id, now()
    with transaction() as session:
        row = api_keys.find_key(session, user_id, key_id, now=moment)
        before = {name: getattr(row, name) for name in KeySettings.__slots__}
        row = api_keys.change_key(
            session, user_id, key_id, KeySettings(**{**before, **changes}), now=moment
        )
    spent = api_keys.spent_micro(reading(), [row], now=moment)
    return json_response(KeyAnswer(**_fields(row, spent)))


@routes.delete("/keys/<key_id>")
@policy("user")
@Documented("Revoke an API key", None, also={204: "It ended with this request"})
def revoke_key(key_id: str) -> Response:
    """Revoke a key for good."""
    with transaction() as session:
        api_keys.revoke_key(session, require_member().id, key_id, now=now())
    return Response(status=204)


def _members(body: NewKeyBody | KeyChanges) -> dict[str, Any]:
    """Return the settings that a body names."""
    members = {name: getattr(body, name) for name in body.model_fields_set}
    if "budget" in members:
        budget: BudgetBody | None = members.pop("budget")
        members["budget_micro"] = budget.amount if budget else None
        members["budget_period"] = budget.period if budget else "all"
    return members


def _fields(row: ApiKey, spent: Mapping[str, int]) -> dict[str, Any]:
    """Return the fields of an answer about a key."""
    budget = None
    if row.budget_micro is not None:
        budget = BudgetAnswer(
            amount_micro=row.budget_micro,
            period=row.budget_period,
            spent_micro=spent.get(row.id, 0),
            resets_at=api_keys.bounds(row.budget_period, now=now())[1],
        )
    values = {name: getattr(row, name) for name in KeyAnswer.model_fields if name != "budget"}
    return {**values, "budget": budget}
