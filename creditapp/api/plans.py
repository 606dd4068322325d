"""Plans: the list, the caller's own, changes, and the customer portal."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, redirect, request
from pydantic import Field, StrictInt
from werkzeug.wrappers import Response as AnyResponse

from creditapp.api.purchases import CheckoutUrlAnswer, require_open
from creditapp.api.requests import IdempotentBody, idempotency_key, parse_body, replay_headers
from creditapp.catalog import Catalog
from creditapp.catalog.packs import PlanView, plans_view
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.db import reading
from creditapp.errors import NotFound, ValidationFailed
from creditapp.http.csrf import is_form
from creditapp.http.documented import Answer, Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Price, Schema
from creditapp.http.sessions import current_member, require_account, require_member
from creditapp.http.stripe_requests import asks_stripe
from creditapp.http.viewer import viewer
from creditapp.payments.subscriptions import plans
from creditapp.payments.subscriptions import status as plan_status
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.units import minor_to_decimal

routes = Blueprint("plans", __name__)


class PlanCost(Schema):
    """The price of a plan in one cycle."""

    price: Price
    price_minor: int


class PlanAnswer(Schema):
    """A plan on sale; its credits are granted every month, the free plan's once."""

    id: str
    name: str
    tagline: str
    kind: str
    month: PlanCost
    year: PlanCost
    currency: str
    credits_micro: Credits
    year_saving: PlanCost | None = None
    """The price of twelve months minus the price of a year, where the year costs less."""
    year_surcharge: PlanCost | None = None
    """The price of a year minus the price of twelve months, where the year costs more."""
    seats_min: int | None = None
    seats_max: int | None = None
    trial_days: int | None = None
    description: str
    current: bool


class CurrentPlan(Schema):
    """The caller's plan."""

    plan_id: str = Field(alias="id")
    name: str
    kind: str
    cycle: str | None = None
    status: str
    seats: int
    credits_micro: Credits
    renews_at: Moment | None = None
    ends_at: Moment | None = None
    trial_end: Moment | None = None
    past_due_since: Moment | None = None
    next_try_at: Moment | None = None
    next_name: str | None = Field(None, alias="nextPlan")
    """The plan of the next invoice, if it is another than the current one."""
    next_seats: int | None = None


class PlansAnswer(Schema):
    """Every plan; for a member also the current plan and the balance."""

    plans: list[PlanAnswer]
    current_plan: CurrentPlan | None = None
    balance_micro: Credits | None = None


class UpgradeAnswer(Schema):
    """The outcome of choosing a plan: the URL of a checkout, or the changed plan."""

    outcome: str
    url: str | None = None
    plan: CurrentPlan | None = None


class Entitled(Schema):
    """The credits of an account."""

    balance_micro: Credits
    held_micro: Credits
    owed_micro: Credits
    lifetime_spent_micro: Credits


class EntitlementsAnswer(Schema):
    """An account's entitlements: ``features`` are the operations of the catalog."""

    credits: Entitled
    plan: CurrentPlan
    subscriptions: list[CurrentPlan]
    features: list[str]


class UpgradeBody(IdempotentBody):
    """The plan, billed by month or by year."""

    plan_id: str
    cycle: str = "month"
    seats: Annotated[StrictInt, Field(ge=1)] = 1


@routes.get("/plans")
@policy("public", scope="read")
@Documented("The plans, the caller's own, and the balance", PlansAnswer)
def list_plans() -> Response:
    """Return every plan with its prices and credits; a member's own plan and balance too."""
    member = current_member()
    status = plan_status.get_status(reading(), member.id) if member else None
    answers = [_plan(view, status) for view in plans_view(get(Catalog))]
    current_plan = _current(status) if status else None
    balance_micro = viewer().balance_micro if member else None
    return json_response(
        PlansAnswer(plans=answers, current_plan=current_plan, balance_micro=balance_micro)
    )


@routes.post("/upgrade-plan")
@policy("user", scope="purchase")
@asks_stripe
@Documented(
    "Subscribe, or change the plan",
    UpgradeAnswer,
    body=UpgradeBody,
    headers=["Idempotency-Key"],
    refuses=[NotFound],
)
def upgrade_plan() -> Response:
    """Open a checkout, or change an existing subscription at once; ``outcome`` says which."""
    body = parse_body(UpgradeBody)
    member = require_account()
    order = PlanOrder(body.plan_id, body.cycle, body.seats)
    key = idempotency_key(body.idempotency_key, "upgrade-plan")
    change = plans.choose_plan(order, member, key=key)
    headers = replay_headers(replayed=change.replayed)
    if change.purchase is not None:
        url = require_open(change.purchase).checkout_url
        return json_response(UpgradeAnswer(outcome=change.outcome, url=url), 200, headers)
    status = plan_status.get_status(reading(), member.id)
    return json_response(UpgradeAnswer(outcome=change.outcome, plan=_current(status)), 200, headers)


@routes.get("/me/entitlements")
@policy("user", scope="read")
@Documented("Credits, plan, subscriptions and features of the caller", EntitlementsAnswer)
def show_entitlements() -> Response:
    """Return the caller's entitlements: an operation is a feature while the catalog has it."""
    member, session = require_member(), reading()
    rows = subscription_sync.list_subscriptions(session, member.id)
    return json_response(
        EntitlementsAnswer(
            credits=Entitled.model_validate(viewer()),
            plan=_current(plan_status.get_status(session, member.id)),
            subscriptions=[_current(plan_status.describe(session, row)) for row in rows[:5]],
            features=[operation.id for operation in get(Catalog).operations],
        )
    )


@routes.get("/billing/portal-link")
@policy("user", scope="purchase")
@asks_stripe
@Documented("Redirect to the customer portal", None, query=["flow"], also={303: "To the portal"})
def go_to_portal() -> AnyResponse:
    """Redirect to the customer portal; ``flow`` is card, cancel or plan."""
    return redirect(_portal(request.args.get("flow", "")), 303)


@routes.post("/billing/portal-link")
@policy("user", scope="purchase")
@asks_stripe
@Documented(
    "The URL of the customer portal",
    CheckoutUrlAnswer,
    query=["flow"],
    also={303: Answer("To the portal, for a form")},
)
def portal_link() -> AnyResponse:
    """Redirect a form to the customer portal, and return its URL as JSON."""
    if is_form():
        return redirect(_portal(request.form.get("flow", "")), 303)
    return json_response(CheckoutUrlAnswer(url=_portal(request.args.get("flow", ""))))


def _portal(flow: str) -> str:
    if flow and flow not in plans.PORTAL_FLOWS:
        raise ValidationFailed.of("flow", f"A flow is one of {', '.join(plans.PORTAL_FLOWS)}.")
    return plans.portal_url(require_account(), flow)


def _plan(view: PlanView, status: PlanStatus | None) -> PlanAnswer:
    plan = view.plan
    has_seats = PLAN_KINDS[plan.kind].has_seats
    extra_minor = view.year.extra_minor
    return PlanAnswer(
        id=plan.id,
        name=plan.name,
        tagline=plan.tagline,
        kind=plan.kind,
        month=_cost(plan.month.price_minor, plan.currency),
        year=_cost(plan.year.price_minor, plan.currency),
        currency=plan.currency,
        credits_micro=plan.credits_micro,
        year_saving=_cost(-extra_minor, plan.currency) if extra_minor < 0 else None,
        year_surcharge=_cost(extra_minor, plan.currency) if extra_minor > 0 else None,
        seats_min=plan.seats_min if has_seats else None,
        seats_max=plan.seats_max if has_seats else None,
        trial_days=plan.trial_days or None,
        description=f"{view.credits}. {view.unused}",
        current=status is not None and status.plan_id == plan.id,
    )


def _cost(minor: int, currency: str) -> PlanCost:
    return PlanCost(price=minor_to_decimal(minor, currency), price_minor=minor)


def _current(status: PlanStatus) -> CurrentPlan:
    plan = CurrentPlan.model_validate(status)
    if plan.next_name is None:
        plan.next_seats = None
    return plan
