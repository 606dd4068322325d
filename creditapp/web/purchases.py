"""Purchase page: what a payment brought, or how it is going."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp import payments
from creditapp.db import reading
from creditapp.http.policies import policy
from creditapp.http.rendering import page_or_block, wants_fragment
from creditapp.http.sessions import require_account
from creditapp.web import view_models

PAGE = "pages/purchases/index.html"

pages = Blueprint("purchases", __name__)


@pages.get("/purchases/<purchase_id>")
@policy("user")
def show(purchase_id: str) -> Response:
    """Show what became of a purchase; the page of an unfinished one polls this route."""
    purchase = payments.find_purchase(reading(), purchase_id, require_account())
    response = page_or_block(PAGE, "payment", payment=view_models.payment(reading(), purchase))
    if wants_fragment() and purchase.state not in ("open", "pending"):
        response.headers["HX-Trigger"] = "balance-changed"
    return response
