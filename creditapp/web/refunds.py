"""Refund policy, with the refunds that a member could get today, and the button that asks."""

from __future__ import annotations

from flask import Blueprint, Response, make_response

from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import go, render_page
from creditapp.http.sessions import current_member, require_account
from creditapp.http.viewer import notify
from creditapp.payments.refunds import policy as refund_policy
from creditapp.payments.refunds import requests
from creditapp.services import get

PAGE = "/credits/refunds"

pages = Blueprint("refunds", __name__)


@pages.get("/refunds")
@policy("public")
def policy_page() -> Response:
    """Show the refund policy and, to a member, today's refund of each payment."""
    member, session = current_member(), reading()
    payments = refund_policy.list_refundable(session, member.id, now=now()) if member else []
    asked = requests.list_requests(session, member.id) if member else []
    return make_response(
        render_page(
            "pages/refunds/index.html",
            days=get(Settings).refund_days,
            payments=payments,
            requests=asked,
            open_requests={request.open_target_id: request for request in asked},
        )
    )


@pages.post("/refunds")
@policy("user")
def ask() -> Response:
    """Ask for the refund of a payment; a second click finds the same request."""
    member = require_account()
    with transaction() as session:
        requests.ask(session, forms.text("payment", 255), member, now=now())
    notify("refund_requested")
    return go(PAGE)
