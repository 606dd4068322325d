"""Plans by JSON: what there is, what one is on, choose another, manage it at Stripe."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from flask import Blueprint, Response, redirect, request
from pydantic import Field, StrictInt
from werkzeug.wrappers import Response as AnyResponse

from creditapp import ledger
from creditapp.api.purchases import CheckoutUrlAnswer, opened
from creditapp.api.requests import IdempotentBody, idempotency_key, parse_body, replay_headers
from creditapp.catalog import Catalog
from creditapp.catalog.packs import PlanView, plans_view
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.clock import now
from creditapp.db import reading
from creditapp.errors import PaymentUnavailable
from creditapp.http.csrf import is_form
from creditapp.http.json_provider import json_response, rfc3339
from creditapp.http.openapi import documented
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema
from creditapp.http.sessions import current_member, require_member
from creditapp.http.viewer import viewer
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions import status as plan_status
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.units import credits_number, minor_digits

routes = Blueprint("plans", __name__)


class PlanCost(Schema):
    """What a plan costs in one cycle."""

    price: Decimal
    price_minor: int


class PlanAnswer(Schema):
    """A plan on offer; its credits come every month, the free plan's once."""

    id: str
    name: str
    tagline: str
    kind: str
    month: PlanCost
    year: PlanCost
    currency: str
    credits: Credits
    year_saving: PlanCost | None = None
    """What a year costs less than twelve months."""
    seats_min: int | None = None
    seats_max: int | None = None
    trial_days: int | None = None
    description: str
    current: bool


class CurrentPlan(Schema):
    """The plan that somebody is on."""

    id: str
    name: str
    kind: str
    cycle: str | None = None
    status: str
    seats: int
    credits: Credits
    renews_at: Moment | None = None
    ends_at: Moment | None = None
    trial_end: Moment | None = None
    past_due_since: Moment | None = None
    next_try_at: Moment | None = None
    next_plan: str | None = None
    """The plan that the next invoice is for, where that is not what is paid for now."""
    next_seats: int | None = None


class PlansAnswer(Schema):
    """Every plan, the caller's own and the balance; a guest has neither."""

    plans: list[PlanAnswer]
    current_plan: CurrentPlan | None = None
    balance: Credits | None = None


class UpgradeAnswer(Schema):
    """What came of choosing a plan: a checkout to go to, or a changed plan."""

    outcome: str
    url: str | None = None
    plan: CurrentPlan | None = None


class Entitled(Schema):
    """The credits of an account."""

    balance: Credits
    held: Credits
    owed: Credits
    lifetime_spent: Credits


class EntitlementsAnswer(Schema):
    """What an account may use: ``features`` are the operations that are on offer."""

    credits: Entitled
    plan: CurrentPlan
    subscriptions: list[CurrentPlan]
    features: list[str]


class UpgradeBody(IdempotentBody):
    """Which plan, and whether it is paid by the month or by the year."""

    plan_id: str
    cycle: str = "month"
    seats: Annotated[StrictInt, Field(ge=1)] = 1


@routes.get("/plans")
@policy("public")
@documented("The plans, the caller's own, and the balance", PlansAnswer)
def list_plans() -> Response:
    """Return every plan with what it costs and gives; a member's own plan and balance too."""
    member = current_member()
    mine = plan_status.get_status(reading(), member.id) if member else None
    found = [_plan(view, mine) for view in plans_view(get(Catalog))]
    balance = credits_number(viewer().balance_micro) if member else None
    return json_response(
        PlansAnswer(plans=found, current_plan=_current(mine) if mine else None, balance=balance)
    )


@routes.post("/upgrade-plan")
@policy("user")
@documented(
    "Subscribe, or change the plan",
    UpgradeAnswer,
    body=UpgradeBody,
    headers=["Idempotency-Key"],
)
def upgrade_plan() -> Response:
    """Open a checkout, or change an existing subscription at once; ``outcome`` says which."""
    body = parse_body(UpgradeBody)
    member = require_member()
    order = PlanOrder(body.plan_id, body.cycle, body.seats)
    try:
        chosen = plans.choose_plan(
            order, member, key=idempotency_key(body.idempotency_key, "upgrade-plan")
        )
    except GatewayError:
        raise PaymentUnavailable from None
    headers = replay_headers(replayed=chosen.replayed)
    if chosen.purchase is not None:
        url = opened(chosen.purchase).checkout_url
        return json_response(UpgradeAnswer(outcome=chosen.outcome, url=url), 200, headers)
    mine = plan_status.get_status(reading(), member.id)
    return json_response(UpgradeAnswer(outcome=chosen.outcome, plan=_current(mine)), 200, headers)


@routes.get("/me/entitlements")
@policy("user")
@documented("Credits, plan, subscriptions and features of the caller", EntitlementsAnswer)
def show_entitlements() -> Response:
    """Return what the caller may use: an operation is a feature while its catalog offers it."""
    member, session = require_member(), reading()
    looks = viewer()
    spent = 0
    if looks.wallet_id is not None:
        spent = ledger.balance(
            session.connection(), looks.wallet_id, now=now()
        ).lifetime_spent_micro
    rows = subscription_sync.list_subscriptions(session, member.id)
    return json_response(
        EntitlementsAnswer(
            credits=Entitled(
                balance=credits_number(looks.balance_micro),
                held=credits_number(looks.held_micro),
                owed=credits_number(looks.owed_micro),
                lifetime_spent=credits_number(spent),
            ),
            plan=_current(plan_status.get_status(session, member.id)),
            subscriptions=[_current(plan_status.describe(session, row)) for row in rows[:5]],
            features=[operation.id for operation in get(Catalog).operations],
        )
    )


@routes.get("/billing/portal-link")
@policy("user")
@documented("Go to the customer portal", None, query=["flow"], also={303: "To the portal"})
def go_to_portal() -> AnyResponse:
    """Lead to where card, invoices and plan are managed; ``flow`` is card, cancel or plan."""
    return redirect(_portal(request.args.get("flow", "")), 303)


@routes.post("/billing/portal-link")
@policy("user")
@documented(
    "The address of the customer portal",
    CheckoutUrlAnswer,
    also={303: "To the portal, for a form"},
)
def portal_link() -> AnyResponse:
    """Answer a form with the way there, and JSON with the address."""
    if is_form():
        return redirect(_portal(request.form.get("flow", "")), 303)
    return json_response(CheckoutUrlAnswer(url=_portal(request.args.get("flow", ""))))


def _portal(flow: str) -> str:
    try:
        return plans.portal_url(require_member(), flow)
    except GatewayError:
        raise PaymentUnavailable from None


def _plan(view: PlanView, mine: PlanStatus | None) -> PlanAnswer:
    plan = view.plan
    has_seats = PLAN_KINDS[plan.kind].has_seats
    return PlanAnswer(
        id=plan.id,
        name=plan.name,
        tagline=plan.tagline,
        kind=plan.kind,
        month=_cost(plan.month.price_minor, plan.currency),
        year=_cost(plan.year.price_minor, plan.currency),
        currency=plan.currency,
        credits=credits_number(plan.credits_micro),
        year_saving=_cost(view.saving_minor, plan.currency) if view.saving_minor else None,
        seats_min=plan.seats_min if has_seats else None,
        seats_max=plan.seats_max if has_seats else None,
        trial_days=plan.trial_days or None,
        description=f"{view.credits}. {view.unused}",
        current=mine is not None and mine.plan_id == plan.id,
    )


def _cost(minor: int, currency: str) -> PlanCost:
    return PlanCost(price=Decimal(minor).scaleb(-minor_digits(currency)), price_minor=minor)


def _current(mine: PlanStatus) -> CurrentPlan:
    moments: dict[str, Any] = {
        name: rfc3339(moment)
        for name in ("renews_at", "ends_at", "trial_end", "past_due_since", "next_try_at")
        if (moment := getattr(mine, name)) is not None
    }
    return CurrentPlan(
        id=mine.plan_id,
        name=mine.name,
        kind=mine.kind,
        cycle=mine.cycle,
        status=mine.status,
        seats=mine.seats,
        credits=credits_number(mine.credits_micro),
        next_plan=mine.next_name,
        next_seats=mine.next_seats if mine.next_name else None,
        **moments,
    )
