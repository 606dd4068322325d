"""Receipts of what was bought: a page to read and print, and the same as a PDF."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, url_for

from creditapp import payments
from creditapp.db import reading
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page
from creditapp.http.sessions import require_member
from creditapp.web import view_models

pages = Blueprint("receipts", __name__)


@pages.get("/receipts/<purchase_id>")
@policy("user")
def receipt(purchase_id: str) -> str:
    """Show the receipt of a purchase to who paid it."""
    shape = _receipt(purchase_id)
    pdf_url = url_for("account.receipts.receipt_pdf", purchase_id=purchase_id)
    return render_page("pages/receipts/index.html", receipt=shape, pdf_url=pdf_url)


@pages.get("/receipts/<purchase_id>.pdf")
@policy("user")
def receipt_pdf(purchase_id: str) -> Response:
    """Send the same receipt as a PDF."""
    # Its library takes a third of a second to import, which only who wants a PDF waits for.
    from creditapp.web.receipt_pdf import draw

    response = Response(draw(_receipt(purchase_id)), mimetype="application/pdf")
    name = f"receipt-{purchase_id}.pdf"
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _receipt(purchase_id: str) -> dict[str, Any]:
    member = require_member()
    return view_models.receipt(payments.find_receipt(reading(), purchase_id, member), member)
