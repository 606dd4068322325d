"""Refund policy, with the refunds that a member could get today."""

from __future__ import annotations

from flask import Blueprint, Response, make_response

from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.http.sessions import current_member
from creditapp.payments.refunds import policy as refund_policy
from creditapp.services import get

pages = Blueprint("refunds", __name__)


@pages.get("/refunds")
@policy("public")
def policy_page() -> Response:
    """Show the refund policy and, to a member, today's refund of each payment."""
    member = current_member()
    payments = refund_policy.list_refundable(reading(), member.id, now=now()) if member else []
    return make_response(
        render_page("pages/refunds/index.html", days=get(Settings).refund_days, payments=payments)
    )
