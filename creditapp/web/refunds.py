"""The refund policy, with the numbers computed for whoever looks."""

from __future__ import annotations

from flask import Blueprint, Response, make_response

from creditapp.config import Settings
from creditapp.db import reading
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.http.sessions import current_member
from creditapp.payments.refunds import policy as refund_policy
from creditapp.services import get
from creditapp.web import view_models

pages = Blueprint("refunds", __name__)


@pages.get("/refunds")
@policy("public")
def policy_page() -> Response:
    """Say what is refunded and how, and to a member what it would come to today."""
    member = current_member()
    found = refund_policy.list_refundable(reading(), member.id) if member else []
    return make_response(
        render_page(
            "pages/refunds/index.html",
            days=get(Settings).refund_days,
            payments=[view_models.refundable(each) for each in found],
        )
    )
