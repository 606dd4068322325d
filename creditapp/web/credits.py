"""Buying credits: packs, the pack dialog, checkout and the return from it."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, Response, make_response, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from creditapp import payments
from creditapp.catalog import Catalog, packs_view
from creditapp.db import reading
from creditapp.errors import AppError, AuthenticationRequired
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import app_error, form_page, refuse, wants_json
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.sessions import require_account
from creditapp.http.stripe_requests import asks_stripe
from creditapp.http.viewer import forget_viewer, notify
from creditapp.payments.purchases.packs import Order
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
    context = _packs()
    if wants_fragment():
        return make_response(render_block(FRAGMENTS, "modal", **context))
    # The page compares packs and plans; the dialog is the short way to more credits.
    return make_response(render_page(PAGE, **context, offers=_plan_context(context["next"])))


@credits_pages.get("/balance")
@policy("public")
def balance() -> str:
    """Return the balance of the header."""
    return render_block(FRAGMENTS, "balance")


@credits_pages.post("/checkout")
@policy("user")
@asks_stripe
def buy() -> Response:
    """Store a purchase and send the buyer to its checkout; a double click buys once."""
    order = Order(
        pack_id=forms.text("pack"),
        catalog_shown=forms.text("catalog"),
        return_to=forms.next_path("/credits"),
        currency=_currency(),
    )
    try:
        key = forms.idempotency_key(order.digest())
        purchase = payments.start_checkout(order, require_account(), key=key)
    except (GatewayError, AppError) as error:
        if wants_fragment() or wants_json():
            raise
        context = _packs()
        # Only errors of fields have a place of their own on other pages.
        refusal = app_error(error)
        context |= {
            "offers": _plan_context(context["next"]),
            "problem": view_models.problem(refusal),
        }
        return form_page(PAGE, refusal, **context)
    if purchase.ended or not purchase.checkout_url:
        # Submitted again after paying, with the back button: show how the purchase ended.
        return go(url_for("checkout.back", purchase_id=purchase.id))
    return go(purchase.checkout_url)


@credits_pages.errorhandler(AuthenticationRequired)
def require_login(refusal: AuthenticationRequired) -> AnyResponse:
    """Send a buyer whose session has ended to the login, which returns to the pack."""
    if request.method != "POST" or wants_json():
        return refuse(refusal)
    if "plan" in request.form:
        return go(url_for("auth.log_in", next=url_for("checkout.plans.compare")))
    return_path = url_for(
        "checkout.packs", pack=forms.text("pack"), next=forms.next_path("/credits")
    )
    return go(url_for("auth.log_in", next=return_path))


@credits_pages.get("/purchases/<purchase_id>/back")
@policy("user")
@asks_stripe
def back(purchase_id: str) -> Response:
    """Return from checkout: sync the purchase, then show it; unpaid, go to where the buyer was."""
    member = require_account()
    purchase = payments.find_purchase(reading(), purchase_id, member)
    try:
        synced = payments.sync_on_return(purchase)
    except (GatewayError, AppError):
        # The webhook or the sweep syncs it later; its page polls until then.
        synced = None
    purchase = synced or payments.find_purchase(reading(), purchase_id, member)
    forget_viewer()
    unpaid = purchase.state == "open" and (synced is not None or "cancelled" in request.args)
    if unpaid or purchase.state in ("failed", "expired"):
        notify("purchase_failed" if purchase.state == "failed" else "purchase_cancelled")
        return go(_with_outcome(purchase.return_to, "cancelled"))
    url = url_for("checkout.purchases.show", purchase_id=purchase.id, purchase="success")
    return go(url)


def _packs() -> dict[str, Any]:
    catalog = get(Catalog)
    best = next((pack for pack in catalog.packs if pack.best_value), None)
    pack = catalog.pack(forms.text("pack")) or best or next(iter(catalog.packs), None)
    currency = _currency()
    return {
        "packs": packs_view(catalog, currency),
        "currency": currency,
        "currencies": catalog.currencies,
        "chart": catalog.models,
        "catalog": catalog.digest,
        "nonce": secrets.token_urlsafe(16),
        "next": forms.next_path("/credits"),
        "selected": pack.id if pack else "",
        "problem": None,
    }


def _currency() -> str:
    """Return the currency that the buyer selected, now or before, else the catalog's own."""
    currencies = get(Catalog).currencies
    selected = forms.text("currency")
    if selected in currencies:
        session["currency"] = selected
    stored = session.get("currency")
    return str(stored) if stored in currencies else currencies[0]


def _plan_context(next_path: str) -> dict[str, Any]:
    from creditapp.web.plans import plan_context

    return plan_context(next_path=next_path)


def _with_outcome(path: str, outcome: str) -> str:
    parts = urlsplit(path)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    query = [(name, value) for name, value in fields if name != "purchase"]
    return f"{parts.path}?{urlencode([*query, ('purchase', outcome)])}"
