"""Plan pages: compare, subscribe, change, cancel, resume, and the billing portal."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, make_response, redirect, url_for
from werkzeug.wrappers import Response as AnyResponse

from creditapp.catalog import Catalog
from creditapp.db import reading
from creditapp.errors import AppError
from creditapp.http import forms
from creditapp.http.moments import day
from creditapp.http.policies import policy
from creditapp.http.problems import app_error, form_page, wants_json
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.sessions import current_member, require_account
from creditapp.http.stripe_requests import asks_stripe
from creditapp.http.viewer import forget_viewer, notify, viewer
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions import status as plan_status
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.upgrades import UpgradeQuote
from creditapp.services import get
from creditapp.web import view_models

PAGE = "pages/plans/index.html"

pages = Blueprint("plans", __name__)


@pages.get("/plans")
@policy("public")
def compare() -> Response:
    """Show the plans: as a page, and as the dialog over any other page."""
    context = plan_context(next_path=forms.next_path("/dashboard"))
    if wants_fragment():
        return make_response(render_block(PAGE, "modal", **context))
    return make_response(render_page(PAGE, **context))


@pages.get("/plan")
@policy("user")
@asks_stripe
def preview() -> Response:
    """Show what an upgrade charges and grants now, with the button to confirm it.

    For the team plan of a member, show a change of seats too.
    """
    next_path = forms.next_path("/dashboard")
    order = PlanOrder(forms.text("plan"), forms.text("cycle"), _seats())
    member = require_account()
    upgrade = plans.preview_upgrade(order, member)
    status, plan = plan_status.get_status(reading(), member.id), get(Catalog).plan(order.plan_id)
    seats = view_models.seats(status, plan, order.cycle, order.seats) if plan else None
    if upgrade is None and (seats is None or seats.current is None):
        return go(url_for("checkout.plans.compare", next=next_path))
    return make_response(
        render_page(
            "pages/plans/upgrade.html",
            offer=upgrade,
            seats=seats,
            sent={
                "plan": order.plan_id,
                "cycle": order.cycle,
                "seats": order.seats,
                "catalog": get(Catalog).digest,
                "nonce": secrets.token_urlsafe(16),
                "next": next_path,
                **(_fields_of(upgrade.quote) if upgrade else {}),
            },
        )
    )


@pages.post("/plan")
@policy("user")
@asks_stripe
def choose() -> Response:
    """Subscribe or change the plan; a double click does it once."""
    order = PlanOrder(
        plan_id=forms.text("plan"),
        cycle=forms.text("cycle"),
        seats=_seats(),
        catalog_shown=forms.text("catalog"),
        return_to=forms.next_path("/dashboard"),
        confirmed=_confirmed(),
    )
    before_micro = viewer().balance_micro
    try:
        key = forms.idempotency_key(order.digest())
        change = plans.choose_plan(order, require_account(), key=key)
    except (GatewayError, AppError) as error:
        return _refused(error)
    if change.purchase is None:
        _notify(change, order, before_micro)
        return go(order.return_to)
    if change.purchase.ended or not change.purchase.checkout_url:
        return go(url_for("checkout.back", purchase_id=change.purchase.id))
    return go(change.purchase.checkout_url)


@pages.post("/plan/cancel")
@policy("user")
@asks_stripe
def cancel() -> Response:
    """Cancel the plan at the end of the paid period."""
    return _end(cancel=True)


@pages.post("/plan/resume")
@policy("user")
@asks_stripe
def resume() -> Response:
    """Resume a canceled plan before it ends."""
    return _end(cancel=False)


@pages.post("/portal")
@policy("user")
@asks_stripe
def manage() -> AnyResponse:
    """Go to the billing portal, for the card, the invoices and the plan."""
    try:
        return redirect(plans.portal_url(require_account(), forms.text("flow")), 303)
    except GatewayError as error:
        return _refused(error)


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
        "mine": status,
        "problem": None,
    }


def _end(*, cancel: bool) -> Response:
    member = require_account()
    try:
        row = plans.cancel(member) if cancel else plans.resume(member)
    except (GatewayError, AppError) as error:
        return _refused(error)
    if row.ended_at is not None:
        text = "Your plan has ended."
    elif row.cancel_at is not None:
        until = day(row.cancel_at)
        text = f"Your plan ends on {until}. Until then nothing changes, and you can resume it."
    else:
        text = f"Your plan continues. The next payment is on {day(row.period_end)}."
    notify("info", text=text)
    return go("/dashboard")


def _seats() -> int:
    """Return the number of seats; 0 is refused later, with a message that names the bounds."""
    return forms.whole("seats", 4) or 0 if forms.text("seats") else 1


def _notify(change: plans.PlanChoice, order: PlanOrder, before_micro: int) -> None:
    """Show what a change did; what an upgrade brought looks like the news of a payment."""
    forget_viewer()
    plan = get(Catalog).plan(order.plan_id)
    if change.outcome != "upgraded" or plan is None:
        notify("info", text=_describe(change))
        return
    balance_micro = viewer().balance_micro
    added_micro = balance_micro - before_micro
    notify("plan_upgraded", text=plan.name, micro=added_micro, balance_micro=balance_micro)


def _fields_of(quote: UpgradeQuote) -> dict[str, int]:
    """Return the form's fields of a quote, by which it is kept."""
    return {
        "quoted_at": int(quote.prorate_at.timestamp()),
        "charged_minor": quote.charged_minor,
        "credits_micro": quote.credits_micro,
    }


def _confirmed() -> UpgradeQuote | None:
    """Return the quote that the form confirms; None for a form without one."""
    seconds = forms.whole("quoted_at", 11)
    charged_minor, credits_micro = forms.whole("charged_minor"), forms.whole("credits_micro")
    if seconds is None or charged_minor is None or credits_micro is None:
        return None
    return UpgradeQuote(datetime.fromtimestamp(seconds, UTC), charged_minor, credits_micro)


def _describe(change: plans.PlanChoice) -> str:
    row = change.subscription
    until = day(row.period_end) if row else ""
    ends = day(row.cancel_at or row.period_end) if row else ""
    return {
        "will_change": f"Your plan changes on {until}. Until then you keep your current plan.",
        "will_end": f"Your plan ends on {ends}. Until then nothing changes.",
        "resumed": f"Your plan continues. The next payment is on {until}.",
        "kept": "You keep your plan. The planned change is canceled.",
    }[change.outcome]


def _refused(error: AppError | GatewayError) -> Response:
    if wants_fragment() or wants_json():
        raise error
    refusal = app_error(error)
    context = plan_context(next_path=forms.next_path("/dashboard"))
    return form_page(PAGE, refusal, **{**context, "problem": view_models.problem(refusal)})
