"""Buying credits: packs, the pack modal, the way to the checkout and back."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, Response, make_response, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from creditapp import payments
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import (
    AppError,
    AuthenticationRequired,
    PaymentUnavailable,
    ValidationFailed,
)
from creditapp.http.policies import policy
from creditapp.http.problems import refuse, wants_json
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.sessions import require_member
from creditapp.http.viewer import forget_viewer, notify, safe_path, viewer
from creditapp.payments.purchases.checkout import Order
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import get
from creditapp.web import view_models

PAGE = "pages/credits/index.html"
FRAGMENTS = "layouts/fragments.html"

credits_pages = Blueprint("checkout", __name__, url_prefix="/credits")


@credits_pages.get("")
@policy("public")
def packs() -> Response:
    """Show the packs: as a page, and as the dialog over any other page."""
    context = _packs(
        goes_to=safe_path(request.args.get("next"), "/credits"),
        selected=request.args.get("pack", ""),
    )
    if wants_fragment():
        return make_response(render_block(FRAGMENTS, "modal", **context))
    # Plans are for who is here to compare; the dialog over a page is the short way to more credits.
    return make_response(render_page(PAGE, **context, offers=_offers(context["next"])))


@credits_pages.get("/balance")
@policy("public")
def balance() -> str:
    """Show the balance in the header anew."""
    return render_block(FRAGMENTS, "balance")


@credits_pages.post("/checkout")
@policy("user")
def buy() -> Response:
    """Store a purchase and send the buyer to its checkout; a double click buys once."""
    goes_to = safe_path(request.form.get("next"), "/credits")
    order = Order(
        pack_id=request.form.get("pack", "")[:64],
        catalog_shown=request.form.get("catalog", "")[:64],
        return_to=goes_to,
        currency=_currency(request.form.get("currency")),
    )
    nonce = request.form.get("nonce", "")
    try:
        if not 8 <= len(nonce) <= 64:
            raise ValidationFailed.of("nonce", "Reload the page and try again.")
        purchase = payments.start_checkout(
            order, require_member(), key=f"form:{nonce}:{order.digest()[:32]}"
        )
    except GatewayError:
        return _refused(PaymentUnavailable(), goes_to)
    except AppError as refusal:
        return _refused(refusal, goes_to)
    if purchase.ended or not purchase.checkout_url:
        # Pressed again after paying, by the back button: its own end says how it went.
        return go(url_for("checkout.back", purchase_id=purchase.id))
    return go(purchase.checkout_url)


@credits_pages.errorhandler(AuthenticationRequired)
def ask_who_buys(refusal: AuthenticationRequired) -> AnyResponse:
    """Send a buyer whose session ended to log in, and from there back to the pack."""
    if request.method != "POST" or wants_json():
        return refuse(refusal)
    if "plan" in request.form:
        return go(url_for("auth.log_in", next=url_for("checkout.plans.compare")))
    back_to = url_for(
        "checkout.packs",
        pack=request.form.get("pack", "")[:64],
        next=safe_path(request.form.get("next"), "/credits"),
    )
    return go(url_for("auth.log_in", next=back_to))


@credits_pages.get("/purchases/<purchase_id>/back")
@policy("user")
def back(purchase_id: str) -> Response:
    """Come back from the checkout: ask what was paid, then go on to where the buyer was."""
    member = require_member()
    purchase = payments.find_purchase(reading(), purchase_id, member)
    asked = True
    try:
        purchase = payments.sync_purchase(purchase.id)
    except (GatewayError, AppError):
        # The webhook or the sweep will know it; the notice below keeps asking.
        asked = False
        purchase = payments.find_purchase(reading(), purchase_id, member)
    forget_viewer()
    unpaid = purchase.state == "open" and (asked or "cancelled" in request.args)
    cancelled = unpaid or purchase.state in ("failed", "expired")
    notify(**_notice(purchase, cancelled=cancelled))
    return go(_with_outcome(purchase.return_to, "cancelled" if cancelled else "success"))


@credits_pages.get("/purchases/<purchase_id>/notice")
@policy("user")
def purchase_notice(purchase_id: str) -> Response:
    """Answer the notice of a purchase that was still pending."""
    purchase = payments.find_purchase(reading(), purchase_id, require_member())
    response = make_response(render_block(FRAGMENTS, "notice", notice=_notice(purchase)))
    if purchase.state == "paid":
        response.headers["HX-Trigger"] = "balance-changed"
    return response


def _packs(*, goes_to: str, selected: str) -> dict[str, Any]:
    catalog = get(Catalog)
    best = next((pack.id for pack in catalog.packs if pack.best_value), "")
    known = catalog.pack(selected)
    currency = _currency()
    return {
        "packs": view_models.packs(currency),
        "currency": currency,
        "currencies": catalog.currencies,
        "chart": view_models.cost_chart(),
        "catalog": catalog.digest,
        "nonce": secrets.token_urlsafe(16),
        "next": goes_to,
        "selected": known.id if known else best,
        "problem": None,
    }


def _currency(asked: str | None = None) -> str:
    """Return the currency that a buyer chose, now or before; the catalog's own at first."""
    known = get(Catalog).currencies
    chosen = asked or request.args.get("currency")
    if chosen in known:
        session["currency"] = chosen
    kept = session.get("currency")
    return str(kept) if kept in known else known[0]


def _offers(goes_to: str) -> dict[str, Any]:
    from creditapp.web.plans import plan_context

    return plan_context(goes_to=goes_to)


def _refused(refusal: AppError, goes_to: str) -> Response:
    if wants_fragment() or wants_json():
        raise refusal
    context = _packs(goes_to=goes_to, selected=request.form.get("pack", ""))
    context["offers"] = _offers(goes_to)
    context["problem"] = view_models.problem(refusal)
    return make_response(render_page(PAGE, **context), refusal.status, refusal.headers)


def _notice(purchase: Purchase, *, cancelled: bool = False) -> dict[str, Any]:
    """Say how a purchase stands, as the notice shows it."""
    match purchase.state:
        case "paid":
            return {
                "code": "plan_success" if purchase.cycle else "purchase_success",
                "text": purchase.pack_name,
                "micro": purchase.credits_micro,
                "balance_micro": viewer().balance_micro,
            }
        case "failed":
            return {"code": "purchase_failed"}
        case "review":
            return {"code": "info", "text": "Your payment is being looked at by a person."}
        case "expired":
            return {"code": "purchase_cancelled"}
        case _ if cancelled:
            return {"code": "purchase_cancelled"}
        case _:
            waits = now() - purchase.created_at < timedelta(hours=1)
            return {
                "code": "purchase_pending",
                "micro": purchase.credits_micro,
                "poll_url": f"/credits/purchases/{purchase.id}/notice" if waits else None,
            }


def _with_outcome(path: str, outcome: str) -> str:
    parts = urlsplit(path)
    given = parse_qsl(parts.query, keep_blank_values=True)
    query = [(name, value) for name, value in given if name != "purchase"]
    return f"{parts.path}?{urlencode([*query, ('purchase', outcome)])}"
