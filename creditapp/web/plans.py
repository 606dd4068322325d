"""Plan pages: compare, subscribe, change, cancel, resume, and the billing portal."""

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
    context = plan_context(next_path=safe_path(request.args.get("next"), "/dashboard"))
    if wants_fragment():
        return make_response(render_block(PAGE, "modal", **context))
    return make_response(render_page(PAGE, **context))


@pages.get("/plan")
@policy("user")
def preview() -> Response:
    """Show what an upgrade charges and grants now, with the button to confirm it.

    For the team plan of a member, show a change of seats too.
    """
    next_path = safe_path(request.args.get("next"), "/dashboard")
    order = PlanOrder(
        request.args.get("plan", "")[:64], request.args.get("cycle", "")[:8], _seats(request.args)
    )
    member = require_member()
    try:
        upgrade = plans.preview_upgrade(order, member)
    except GatewayError:
        raise PaymentUnavailable from None
    status, plan = plan_status.get_status(reading(), member.id), get(Catalog).plan(order.plan_id)
    seats = view_models.seats(status, plan, order.cycle, order.seats) if plan else None
    if upgrade is None and (seats is None or seats["has"] is None):
        return go(url_for("checkout.plans.compare", next=next_path))
    return make_response(
        render_page(
            "pages/plans/upgrade.html",
            offer=view_models.upgrade(upgrade) if upgrade else None,
            seats=seats,
            sent={
                "plan": order.plan_id,
                "cycle": order.cycle,
                "seats": order.seats,
                "catalog": get(Catalog).digest,
                "nonce": secrets.token_urlsafe(16),
                "next": next_path,
            },
        )
    )


@pages.post("/plan")
@policy("user")
def choose() -> Response:
    """Subscribe or change the plan; a double click does it once."""
    next_path = safe_path(request.form.get("next"), "/dashboard")
    order = PlanOrder(
        plan_id=request.form.get("plan", "")[:64],
        cycle=request.form.get("cycle", "")[:8],
        seats=_seats(request.form),
        catalog_shown=request.form.get("catalog", "")[:64],
        return_to=next_path,
    )
    nonce = request.form.get("nonce", "")
    try:
        if not 8 <= len(nonce) <= 64:
            raise ValidationFailed.of("nonce", "Reload the page and try again.")
        change = plans.choose_plan(
            order, require_member(), key=f"form:{nonce}:{order.digest()[:32]}"
        )
    except GatewayError:
        return _refused(PaymentUnavailable(), next_path)
    except AppError as refusal:
        return _refused(refusal, next_path)
    if change.purchase is None:
        forget_viewer()
        notify("info", text=_describe(change))
        return go(next_path)
    if change.purchase.ended or not change.purchase.checkout_url:
        return go(url_for("checkout.back", purchase_id=change.purchase.id))
    return go(change.purchase.checkout_url)


@pages.post("/plan/cancel")
@policy("user")
def cancel() -> Response:
    """Cancel the plan at the end of the paid period."""
    return _end(cancel=True)


@pages.post("/plan/resume")
@policy("user")
def resume() -> Response:
    """Resume a canceled plan before it ends."""
    return _end(cancel=False)


@pages.post("/portal")
@policy("user")
def manage() -> AnyResponse:
    """Go to the billing portal, for the card, the invoices and the plan."""
    try:
        return redirect(plans.portal_url(require_member(), request.form.get("flow", "")), 303)
    except GatewayError:
        return _refused(PaymentUnavailable(), "/dashboard")


def plan_context(*, next_path: str) -> dict[str, Any]:
    """Return the context of the list of plans; two queries for a member."""
    member, session = current_member(), reading()
    status = plan_status.get_status(session, member.id) if member else None
    trials = {
        plan.id
        for plan in get(Catalog).plans
        if plan.trial_days and member and plan_checkout.is_trial_eligible(session, plan, member.id)
    }
    return {
        "plans": view_models.plans(status, trials),
        "cycle": status.cycle if status and status.cycle else "month",
        "catalog": get(Catalog).digest,
        "nonce": secrets.token_urlsafe(16),
        "next": next_path,
        "mine": view_models.plan(status) if status else None,
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
        f"Your plan ends on {until}. Until then nothing changes, and you can resume it."
        if cancel
        else f"Your plan continues. The next payment is on {until}."
    )
    notify("info", text=text)
    return go("/dashboard")


def _seats(fields: MultiDict[str, str]) -> int:
    text = fields.get("seats", "1")
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        return 0  # refused later, with a message that names the bounds
    return int(text)


def _describe(change: PlanChange) -> str:
    row = change.subscription
    until = f"{row.period_end:%-d %B %Y}" if row else ""
    return {
        "upgraded": "Your plan is upgraded and its credits are in your balance.",
        "will_change": f"Your plan changes on {until}. Until then you keep your current plan.",
        "will_end": f"Your plan ends on {until}. Until then nothing changes.",
        "resumed": f"Your plan continues. The next payment is on {until}.",
        "kept": "You keep your plan. The planned change is canceled.",
    }[change.outcome]


def _refused(refusal: AppError, next_path: str) -> Response:
    if wants_fragment() or wants_json():
        raise refusal
    context = plan_context(next_path=next_path)
    context["problem"] = view_models.problem(refusal)
    return make_response(render_page(PAGE, **context), refusal.status, refusal.headers)
