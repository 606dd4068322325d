"""Webhook endpoints in the settings: create one, choose events, see and repeat deliveries."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, make_response
from sqlalchemy.orm import Session

from creditapp import webhooks_out
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.errors import AppError
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go, render_block, wants_fragment, with_query
from creditapp.http.sessions import require_member
from creditapp.http.viewer import notify
from creditapp.ledger import idempotency
from creditapp.pagination import page_of, parse_cursor
from creditapp.services import get
from creditapp.web import view_models
from creditapp.webhooks_out import EVENTS, WAITING_MAX, EndpointSettings, WebhookEndpoint

PATH = "/settings/webhooks"
PAGE_SIZE = 20
_SOON = timedelta(seconds=15)
_CURSOR = re.compile(r"msg_[0-9a-z]{26}")

pages = Blueprint("webhook_endpoints", __name__)


@pages.get("/settings/webhooks")
@policy("user")
def list_endpoints() -> Response:
    """Show the member's endpoints, and the form for a new one."""
    return _list_page()


@pages.post("/settings/webhooks")
@policy("user")
def create_endpoint() -> Response:
    """Create an endpoint and show its secret; the same form again shows the same one."""
    user_id, settings = require_member().id, _settings(enabled=True)
    try:
        row = _once(
            repr(settings),
            lambda session: webhooks_out.create_endpoint(session, user_id, settings, now=now()),
        )
    except AppError as refusal:
        return _list_page(refusal)
    return _endpoint_page(row, shows_secret=True)


@pages.get("/settings/webhooks/<endpoint_id>")
@policy("user")
def show_endpoint(endpoint_id: str) -> Response:
    """Show one endpoint with its log."""
    row = _find(endpoint_id)
    return _log(row) if wants_fragment() else _endpoint_page(row)


@pages.post("/settings/webhooks/<endpoint_id>")
@policy("user")
def change_endpoint(endpoint_id: str) -> Response:
    """Change an endpoint for the events from now on."""
    row = _find(endpoint_id)
    try:
        settings = _settings(enabled=forms.ticked("enabled"))
        with transaction() as session:
            webhooks_out.change_endpoint(
                session, require_member().id, endpoint_id, settings, now=now()
            )
    except AppError as refusal:
        return _endpoint_page(row, refusal)
    notify("info", text="The endpoint is saved.")
    return go(f"{PATH}/{endpoint_id}")


@pages.post("/settings/webhooks/<endpoint_id>/rotate")
@policy("user")
def rotate_secret(endpoint_id: str) -> Response:
    """Give an endpoint a new secret and show it.

    The same form again shows the same one: a second rotation would end the secret in use.
    """
    user_id = require_member().id
    row = _once(
        f"rotate {endpoint_id}",
        lambda session: webhooks_out.rotate_secret(session, user_id, endpoint_id, now=now()),
    )
    return _endpoint_page(row, shows_secret=True)


@pages.post("/settings/webhooks/<endpoint_id>/delete")
@policy("user")
def delete_endpoint(endpoint_id: str) -> Response:
    """Delete an endpoint with its log."""
    with transaction() as session:
        webhooks_out.delete_endpoint(session, require_member().id, endpoint_id)
    notify("info", text="The endpoint is deleted.")
    return go(PATH)


@pages.post("/settings/webhooks/<endpoint_id>/test")
@policy("user")
def send_test(endpoint_id: str) -> Response:
    """Send a test event."""
    return _act(endpoint_id, None)


@pages.post("/settings/webhooks/<endpoint_id>/deliveries/<delivery_id>/redeliver")
@policy("user")
def redeliver(endpoint_id: str, delivery_id: str) -> Response:
    """Send a delivery again, under the same id."""
    return _act(endpoint_id, delivery_id)


def _act(endpoint_id: str, delivery_id: str | None) -> Response:
    """Queue a delivery again, or without one a test; show the log."""
    moment, user_id = now(), require_member().id
    with transaction() as session:
        row = webhooks_out.find_endpoint(session, user_id, endpoint_id, lock=True)
        if delivery_id is None:
            webhooks_out.queue_test(session, row, now=moment)
        else:
            webhooks_out.redeliver(session, row, delivery_id, now=moment)
    return _log(row) if wants_fragment() else go(f"{PATH}/{endpoint_id}#log")


def _once(order: str, act: Callable[[Session], WebhookEndpoint]) -> WebhookEndpoint:
    """Do what a form orders, unless the same form did before; return its endpoint."""
    user_id, digest = require_member().id, hashlib.sha256(order.encode()).hexdigest()
    key = forms.idempotency_key(digest)
    with transaction() as session:
        connection = session.connection()
        known = idempotency.claim(connection, user_id, PATH, key, digest, now=now())
        if known is not None:
            return webhooks_out.find_endpoint(session, user_id, known)
        row = act(session)
        idempotency.complete(connection, user_id, PATH, key, digest, row.id)
    return row


def _find(endpoint_id: str) -> WebhookEndpoint:
    return webhooks_out.find_endpoint(reading(), require_member().id, endpoint_id)


def _list_page(refusal: AppError | None = None) -> Response:
    rows = webhooks_out.list_endpoints(reading(), require_member().id)
    return form_page(
        "pages/webhook_endpoints/index.html",
        refusal,
        endpoints=[view_models.webhook_endpoint(row, now=now()) for row in rows],
        **_form(None, sent=refusal is not None),
    )


def _endpoint_page(
    row: WebhookEndpoint, refusal: AppError | None = None, *, shows_secret: bool = False
) -> Response:
    response = form_page(
        "pages/webhook_endpoints/endpoint.html",
        refusal,
        secret=webhooks_out.secrets_of(row, now=now())[0] if shows_secret else None,
        **_log_of(row),
        **_form(row, sent=refusal is not None),
    )
    if shows_secret:
        response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "HX-Request"
    return response


def _log(row: WebhookEndpoint) -> Response:
    """Return the log alone, for HTMX."""
    response = make_response(
        render_block("pages/webhook_endpoints/endpoint.html", "log", **_log_of(row))
    )
    response.headers["Vary"] = "HX-Request"
    return response


def _log_of(row: WebhookEndpoint) -> dict[str, Any]:
    """Return an endpoint with a page of its log."""
    session, here, moment = reading(), f"{PATH}/{row.id}", now()
    cursor = parse_cursor(forms.text("cursor") or None, _CURSOR)
    rows = webhooks_out.list_deliveries(session, row.id, limit=PAGE_SIZE + 1, before=cursor)
    page = page_of(rows, PAGE_SIZE, lambda delivery: delivery.id)
    attempts = webhooks_out.attempts_of(session, page.rows)
    deliveries = [
        view_models.webhook_delivery(row, each, attempts[each.id], now=moment) for each in page.rows
    ]
    soon = moment + _SOON
    return {
        "endpoint": view_models.webhook_endpoint(row, now=moment),
        "waiting_max": WAITING_MAX if webhooks_out.is_full(session, row.id) else None,
        "deliveries": deliveries,
        "next_url": page.next_cursor and with_query(here, {"cursor": page.next_cursor}),
        # While an attempt is awaited, the log renews itself.
        "renews": cursor is None
        and any(each.next_at and each.next_at < soon for each in deliveries),
    }


def _form(row: WebhookEndpoint | None, *, sent: bool) -> dict[str, Any]:
    """Return the values of the form: what was sent, those of an endpoint, or of a new one."""
    form = {
        "url": row.url if row else "",
        "description": row.description if row else "",
        "events": row.events if row else ["generation.succeeded", "generation.failed"],
        "enabled": row is None or row.disabled_at is None,
    }
    if sent:
        form = {
            "url": forms.text("url", 500),
            "description": forms.text("description", 200),
            "events": forms.several("events", len(EVENTS)),
            "enabled": forms.ticked("enabled"),
        }
    return {
        "form": form,
        "events": EVENTS,
        "loopback": get(Settings).webhooks_to_loopback,
        "nonce": secrets.token_urlsafe(16),
    }


def _settings(*, enabled: bool) -> EndpointSettings:
    return EndpointSettings(
        url=forms.text("url", 1000),
        events=forms.several("events"),
        description=forms.text("description", 200),
        enabled=enabled,
    )
