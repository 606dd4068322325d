"""Plans in the browser: compare, subscribe, change, let end, resume, manage at Stripe."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, make_response, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from creditapp.catalog import Catalog
from creditapp.db import reading
from creditapp.errors import AppError, PaymentUnavailable, ValidationFailed
from creditapp.http.policies import policy
from creditapp.http.problems import wants_json
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.sessions import current_member, require_member
from creditapp.http.viewer import forget_viewer, notify, safe_path
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions import status as plan_status
from creditapp.payments.subscriptions.changes import PlanChange, PlanOrder
from creditapp.services import get
from creditapp.web import view_models

PAGE = "pages/plans/index.html"

pages = Blueprint("plans", __name__)


@pages.get("/plans")
@policy("public")
def compare() -> Response:
    """Show the plans: as a page, and as the dialog over any other page."""
    context = plan_context(goes_to=safe_path(request.args.get("next"), "/dashboard"))
    if wants_fragment():
        return make_response(render_block(PAGE, "modal", **context))
    return make_response(render_page(PAGE, **context))


@pages.get("/plan")
@policy("user")
def preview() -> Response:
    """Show what an upgrade charges and gives now, with the button that does it.

    Of a team's own plan also what another number of seats means.
    """
    goes_to = safe_path(request.args.get("next"), "/dashboard")
    order = PlanOrder(
        request.args.get("plan", "")[:64], request.args.get("cycle", "")[:8], _seats(request.args)
    )
    member = require_member()
    try:
        shown = plans.preview_upgrade(order, member)
    except GatewayError:
        raise PaymentUnavailable from None
    mine, plan = plan_status.get_status(reading(), member.id), get(Catalog).plan(order.plan_id)
    seats = view_models.seats(mine, plan, order.cycle, order.seats) if plan else None
    if shown is None and (seats is None or seats["has"] is None):
        return go(url_for("checkout.plans.compare", next=goes_to))
    return make_response(
        render_page(
            "pages/plans/upgrade.html",
            offer=view_models.upgrade(shown) if shown else None,
            seats=seats,
            sent={
                "plan": order.plan_id,
                "cycle": order.cycle,
                "seats": order.seats,
                "catalog": get(Catalog).digest,
                "nonce": secrets.token_urlsafe(16),
                "next": goes_to,
            },
        )
    )


@pages.post("/plan")
@policy("user")
def choose() -> Response:
    """Subscribe or change the plan; a double click does it once."""
    goes_to = safe_path(request.form.get("next"), "/dashboard")
    order = PlanOrder(
        plan_id=request.form.get("plan", "")[:64],
        cycle=request.form.get("cycle", "")[:8],
        seats=_seats(request.form),
        catalog_shown=request.form.get("catalog", "")[:64],
        return_to=goes_to,
    )
    nonce = request.form.get("nonce", "")
    try:
        if not 8 <= len(nonce) <= 64:
            raise ValidationFailed.of("nonce", "Reload the page and try again.")
        chosen = plans.choose_plan(
            order, require_member(), key=f"form:{nonce}:{order.digest()[:32]}"
        )
    except GatewayError:
        return _refused(PaymentUnavailable(), goes_to)
    except AppError as refusal:
        return _refused(refusal, goes_to)
    if chosen.purchase is None:
        forget_viewer()
        notify("info", text=_said(chosen))
        return go(goes_to)
    if chosen.purchase.ended or not chosen.purchase.checkout_url:
        return go(url_for("checkout.back", purchase_id=chosen.purchase.id))
    return go(chosen.purchase.checkout_url)


@pages.post("/plan/cancel")
@policy("user")
def cancel() -> Response:
    """Let the plan end with the time that is paid."""
    return _end(cancel=True)


@pages.post("/plan/resume")
@policy("user")
def resume() -> Response:
    """Let a plan that was to end go on."""
    return _end(cancel=False)


@pages.post("/portal")
@policy("user")
def manage() -> AnyResponse:
    """Go to where card, invoices and plan are managed."""
    try:
        return redirect(plans.portal_url(require_member(), request.form.get("flow", "")), 303)
    except GatewayError:
        return _refused(PaymentUnavailable(), "/dashboard")


def plan_context(*, goes_to: str) -> dict[str, Any]:
    """Return what the list of plans needs, wherever it stands; two queries for a member."""
    member, session = current_member(), reading()
    mine = plan_status.get_status(session, member.id) if member else None
    tries = {
        plan.id
        for plan in get(Catalog).plans
        if plan.trial_days and member and plan_checkout.is_trial_eligible(session, plan, member.id)
    }
    return {
        "plans": view_models.plans(mine, tries),
        "cycle": mine.cycle if mine and mine.cycle else "month",
        "catalog": get(Catalog).digest,
        "nonce": secrets.token_urlsafe(16),
        "next": goes_to,
        "mine": view_models.plan(mine) if mine else None,
        "problem": None,
    }


def _end(*, cancel: bool) -> Response:
    member = require_member()
    try:
        row = plans.cancel(member) if cancel else plans.resume(member)
    except GatewayError:
        return _refused(PaymentUnavailable(), "/dashboard")
    except AppError as refusal:
        return _refused(refusal, "/dashboard")
    until = f"{row.period_end:%-d %B %Y}"
    text = (
        f"Your plan ends on {until}. Until then everything stays, and you can resume it."
        if cancel
        else f"Your plan goes on. The next payment is on {until}."
    )
    notify("info", text=text)
    return go("/dashboard")


def _seats(sent: MultiDict[str, str]) -> int:
    text = sent.get("seats", "1")
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        return 0  # refused by the verb, in words that name the bounds
    return int(text)


def _said(chosen: PlanChange) -> str:
    row = chosen.subscription
    until = f"{row.period_end:%-d %B %Y}" if row else ""
    return {
        "upgraded": "Your plan is upgraded. Its credits for the time left are in your balance.",
        "will_change": f"Your plan changes on {until}. Until then it is as it was paid.",
        "will_end": f"Your plan ends on {until}. Until then everything stays.",
        "resumed": f"Your plan goes on. The next payment is on {until}.",
        "kept": "You keep your plan; the change that was planned is taken back.",
    }[chosen.outcome]


def _refused(refusal: AppError, goes_to: str) -> Response:
    if wants_fragment() or wants_json():
        raise refusal
    context = plan_context(goes_to=goes_to)
    context["problem"] = view_models.problem(refusal)
    return make_response(render_page(PAGE, **context), refusal.status, refusal.headers)
