"""Receipts, as a page and as a PDF."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from creditapp import payments
from creditapp.db import reading
from creditapp.http.policies import policy
from creditapp.http.rate_limiting import costly
from creditapp.http.rendering import render_page
from creditapp.http.sessions import require_account
from creditapp.web import view_models
from creditapp.web.view_models import ReceiptView

pages = Blueprint("receipts", __name__)


@pages.get("/receipts/<purchase_id>")
@policy("user")
def receipt(purchase_id: str) -> str:
    """Show the receipt of a purchase to its buyer."""
    pdf_url = url_for("account.receipts.receipt_pdf", purchase_id=purchase_id)
    return render_page("pages/receipts/index.html", receipt=_receipt(purchase_id), pdf_url=pdf_url)


@pages.get("/receipts/<purchase_id>.pdf")
@policy("user")
@costly
def receipt_pdf(purchase_id: str) -> Response:
    """Send the receipt as a PDF."""
    # The PDF library takes a third of a second to import: only this request waits for it.
    from creditapp.web.receipt_pdf import draw

    response = Response(draw(_receipt(purchase_id)), mimetype="application/pdf")
    name = f"receipt-{purchase_id}.pdf"
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _receipt(purchase_id: str) -> ReceiptView:
    member = require_account()
    return view_models.receipt(payments.find_receipt(reading(), purchase_id, member), member)
