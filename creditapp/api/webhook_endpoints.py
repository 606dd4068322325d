"""``/api/webhook-endpoints``: where a member's events are sent; for the member, not for a key.

A key could otherwise send what it may not read to an address of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from flask import Blueprint, Response, request
from pydantic import Field, StrictBool

from creditapp import webhooks_out
from creditapp.api.requests import page_size, parse_body
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import Conflict
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Moment, RequestSchema, Schema
from creditapp.http.sessions import require_member
from creditapp.pagination import page_of, parse_cursor
from creditapp.webhooks_out import (
    EndpointSettings,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)

routes = Blueprint("webhook_endpoints", __name__)

_CURSOR = re.compile(r"msg_[0-9a-z]{26}")

EventName = Literal[
    "credits.low",
    "credits.expiring",
    "credits.granted",
    "credits.spent",
    "purchase.paid",
    "purchase.refunded",
    "subscription.changed",
    "generation.succeeded",
    "generation.failed",
]


class NewEndpointBody(RequestSchema):
    """An endpoint to create: an https address and the events that it receives."""

    url: str
    events: list[EventName]
    description: str = ""
    enabled: StrictBool = True


class EndpointChanges(RequestSchema):
    """Changes of an endpoint; what is left out stays as it is."""

    url: str = ""
    events: Sequence[EventName] = ()
    description: str = ""
    enabled: StrictBool = True


class EndpointAnswer(Schema):
    """An endpoint, without its secret."""

    id: str
    url: str
    description: str
    events: list[EventName]
    enabled: bool
    disabled_at: Moment | None
    disabled_reason: Literal["member", "failing", "gone"] | None
    failing_since: Moment | None = Field(description="The first failure since the last success.")
    previous_secret_until: Moment | None = Field(
        description="Until when the secret before the last rotation signs too."
    )
    created_at: Moment


class EndpointWithSecret(EndpointAnswer):
    """An endpoint with its new secret, which is not shown again."""

    secret: str


class EndpointList(Schema):
    """The member's endpoints, the newest first; there is one page."""

    items: list[EndpointAnswer]
    next_cursor: None = None


class AttemptAnswer(Schema):
    """One attempt: the receiver's status, or the problem that left none."""

    number: int
    started_at: Moment
    milliseconds: int
    status: int | None
    problem: str | None


class DeliveryAnswer(Schema):
    """One event for the endpoint; ``id`` is the header ``webhook-id`` of each attempt."""

    id: str
    event: str
    state: Literal["pending", "delivered", "failed", "not_sent"]
    created_at: Moment
    next_attempt_at: Moment | None
    finished_at: Moment | None
    attempts: list[AttemptAnswer]


class DeliveryPage(Schema):
    """A page of the log, the newest first."""

    items: list[DeliveryAnswer]
    next_cursor: str | None = None


@routes.get("/webhook-endpoints")
@policy("user")
@Documented("The member's webhook endpoints", EndpointList)
def list_endpoints() -> Response:
    """Return the member's endpoints."""
    rows = webhooks_out.list_endpoints(reading(), require_member().id)
    return json_response(EndpointList(items=[EndpointAnswer(**_fields(row)) for row in rows]))


@routes.post("/webhook-endpoints")
@policy("user")
@Documented(
    "Create a webhook endpoint, whose secret is shown once",
    EndpointWithSecret,
    body=NewEndpointBody,
    status=201,
    refuses=[Conflict],
)
def create_endpoint() -> Response:
    """Create an endpoint; 201 with its secret."""
    settings = EndpointSettings(**parse_body(NewEndpointBody).model_dump())
    with transaction() as session:
        row = webhooks_out.create_endpoint(session, require_member().id, settings, now=now())
    return _with_secret(row, 201)


@routes.patch("/webhook-endpoints/<endpoint_id>")
@policy("user")
@Documented(
    "Change a webhook endpoint, or switch it on or off", EndpointAnswer, body=EndpointChanges
)
def change_endpoint(endpoint_id: str) -> Response:
    """Change an endpoint for the events from now on."""
    body, user_id = parse_body(EndpointChanges), require_member().id
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    with transaction() as session:
        row = webhooks_out.find_endpoint(session, user_id, endpoint_id)
        before = {
            "url": row.url,
            "events": row.events,
            "description": row.description,
            "enabled": row.disabled_at is None,
        }
        row = webhooks_out.change_endpoint(
            session, user_id, endpoint_id, EndpointSettings(**{**before, **changes}), now=now()
        )
    return json_response(EndpointAnswer(**_fields(row)))


@routes.delete("/webhook-endpoints/<endpoint_id>")
@policy("user")
@Documented("Delete a webhook endpoint", None, also={204: "It is deleted with its log"})
def delete_endpoint(endpoint_id: str) -> Response:
    """Delete an endpoint with its log and what waits for it."""
    with transaction() as session:
        webhooks_out.delete_endpoint(session, require_member().id, endpoint_id)
    return Response(status=204)


@routes.post("/webhook-endpoints/<endpoint_id>/rotate")
@policy("user")
@Documented("Give a webhook endpoint a new secret", EndpointWithSecret)
def rotate_secret(endpoint_id: str) -> Response:
    """Return a new secret; the one before signs too, for a day."""
    with transaction() as session:
        row = webhooks_out.rotate_secret(session, require_member().id, endpoint_id, now=now())
    return _with_secret(row, 200)


@routes.post("/webhook-endpoints/<endpoint_id>/test")
@policy("user")
@Documented("Send a test event", DeliveryAnswer, status=202, refuses=[Conflict])
def send_test(endpoint_id: str) -> Response:
    """Queue the event ``webhook.test``; 202 with its delivery."""
    with transaction() as session:
        endpoint = webhooks_out.find_endpoint(session, require_member().id, endpoint_id, lock=True)
        delivery = webhooks_out.queue_test(session, endpoint, now=now())
    return json_response(_delivery(endpoint, delivery, []), 202)


@routes.get("/webhook-endpoints/<endpoint_id>/deliveries")
@policy("user")
@Documented("The deliveries to a webhook endpoint", DeliveryPage, query=["cursor", "limit"])
def list_deliveries(endpoint_id: str) -> Response:
    """Return a page of the log."""
    limit, session = page_size(), reading()
    cursor = parse_cursor(request.args.get("cursor"), _CURSOR)
    endpoint = webhooks_out.find_endpoint(session, require_member().id, endpoint_id)
    rows = webhooks_out.list_deliveries(session, endpoint.id, limit=limit + 1, before=cursor)
    page = page_of(rows, limit, lambda row: row.id)
    attempts = webhooks_out.attempts_of(session, page.rows)
    items = [_delivery(endpoint, row, attempts[row.id]) for row in page.rows]
    return json_response(DeliveryPage(items=items, next_cursor=page.next_cursor))


@routes.post("/webhook-endpoints/<endpoint_id>/deliveries/<delivery_id>/redeliver")
@policy("user")
@Documented("Send a delivery again", DeliveryAnswer, status=202, refuses=[Conflict])
def redeliver(endpoint_id: str, delivery_id: str) -> Response:
    """Queue a delivery again, under the same id; 202 with it."""
    with transaction() as session:
        endpoint = webhooks_out.find_endpoint(session, require_member().id, endpoint_id, lock=True)
        delivery = webhooks_out.redeliver(session, endpoint, delivery_id, now=now())
        attempts = webhooks_out.attempts_of(session, [delivery])
    return json_response(_delivery(endpoint, delivery, attempts[delivery.id]), 202)


def _with_secret(row: WebhookEndpoint, status: int) -> Response:
    (secret, *_) = webhooks_out.secrets_of(row, now=now())
    return json_response(EndpointWithSecret(**_fields(row), secret=secret), status)


def _fields(row: WebhookEndpoint) -> dict[str, Any]:
    """Return the fields of an answer about an endpoint."""
    own = {"enabled", "previous_secret_until"}
    values = {name: getattr(row, name) for name in EndpointAnswer.model_fields if name not in own}
    until = row.previous_secret_until
    is_overlap = until is not None and until > now()
    return {
        **values,
        "enabled": row.disabled_at is None,
        "previous_secret_until": until if is_overlap else None,
    }


def _delivery(
    endpoint: WebhookEndpoint, row: WebhookDelivery, attempts: Sequence[WebhookAttempt]
) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=row.id,
        event=row.event,
        state=row.state,  # type: ignore[arg-type]  # the table allows these alone
        created_at=row.created_at,
        next_attempt_at=webhooks_out.next_attempt_at(endpoint, row, now=now()),
        finished_at=row.finished_at,
        attempts=[AttemptAnswer.model_validate(attempt) for attempt in attempts],
    )
