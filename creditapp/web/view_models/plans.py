"""Plans: prices, the current plan, and what choosing another one does."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypedDict
from urllib.parse import urlencode

from creditapp.catalog import Catalog, Plan
from creditapp.catalog import amount as amount_text
from creditapp.catalog.packs import PlanView, plans_view
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.payments.refunds.policy import RefundablePayment
from creditapp.payments.subscriptions.plans import UpgradePreview
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.units import money_text

_CYCLES = {"month": "monthly", "year": "yearly"}


class Fact(TypedDict):
    """A labelled value of the ``plan_card`` component."""

    label: str
    text: str


class PlanCard(TypedDict):
    """The ``plan_card`` component."""

    name: str
    free: bool
    status: str
    facts: list[Fact]
    ends_on: str | None
    past_due: bool
    next_try_on: str | None


class PlanPrice(TypedDict):
    """Price of a plan by billing cycle."""

    cycle: str
    text: str
    saving: str | None


class PlanAction(TypedDict):
    """Button of a plan by billing cycle (none without a label), with a note that explains it.

    ``question`` asks before the change, ``href`` shows a preview first, and ``seats`` is the number
    that is sent without a field for it.
    """

    cycle: str
    label: str | None
    note: str
    question: str | None
    href: str | None
    seats: int | None


class PlanOffer(TypedDict):
    """A row of the ``plan_list`` component."""

    id: str
    name: str
    tagline: str
    credits: str
    unused: str
    makes: str
    current: bool
    free: bool
    seats_min: int
    seats_max: int
    prices: list[PlanPrice]
    actions: list[PlanAction]


class Upgrade(TypedDict):
    """Charge and credits of an upgrade."""

    name: str
    paid: str
    from_name: str
    charged_minor: int
    currency: str
    credits_micro: int
    renews: str


class Seats(TypedDict):
    """Choice of a number of seats; ``later`` is the next payment where they apply from then on."""

    name: str
    asked: int
    has: int | None
    least: int
    most: int
    later: str | None


class RefundView(TypedDict):
    """A payment of the refund page."""

    id: str
    title: str
    paid_minor: int
    refunded_minor: int
    back_minor: int
    currency: str
    paid_on: str
    until: str
    credits_micro: int
    unspent_micro: int


def plans(status: PlanStatus | None, trials: Collection[str] = ()) -> list[PlanOffer]:
    """Return the plans to compare, for a member or a guest (``None``).

    ``trials`` are the ids of the plans with a free trial for this member.
    """
    return [_offer(view, status, view.plan.id in trials) for view in plans_view(get(Catalog))]


def plan(status: PlanStatus) -> PlanCard:
    """Return the current plan."""
    catalog = get(Catalog)
    facts: list[Fact] = []
    if not status.free:
        facts.append({"label": "Billing", "text": _CYCLES[status.cycle or "month"]})
        allowance = f"{amount_text(catalog, status.credits_micro)} a month"
        facts.append({"label": "Credits", "text": PLAN_KINDS[status.kind].describe(allowance)})
        if status.seats > 1:
            facts.append({"label": "Seats", "text": str(status.seats)})
    if status.trial_end is not None:
        facts.append({"label": "Trial ends", "text": _day(status.trial_end)})
    if status.renews_at is not None and status.past_due_since is None:
        price_minor = status.price_minor
        if status.next_price_minor is not None:
            price_minor = status.next_price_minor
        money = money_text(price_minor, status.currency)
        facts.append({"label": "Next payment", "text": f"{money} on {_day(status.renews_at)}"})
    if status.next_name is not None:
        seats = f", {status.next_seats} seats" if status.next_seats > 1 else ""
        facts.append({"label": "Changes to", "text": f"{status.next_name}{seats}"})
    return {
        "name": status.name,
        "free": status.free,
        "status": status.status,
        "facts": facts,
        "ends_on": _day(status.ends_at) if status.ends_at else None,
        "past_due": status.past_due_since is not None,
        "next_try_on": _day(status.next_try_at) if status.next_try_at else None,
    }


def upgrade(preview: UpgradePreview) -> Upgrade:
    """Return what an upgrade charges and grants."""
    renewal = money_text(preview.renews_minor, preview.currency)
    return {
        "name": preview.plan_name,
        "paid": _CYCLES[preview.cycle],
        "from_name": preview.current_name,
        "charged_minor": preview.charged_minor,
        "currency": preview.currency,
        "credits_micro": preview.credits_micro,
        "renews": f"{renewal} on {_day(preview.renews_at)}",
    }


def seats(status: PlanStatus, plan: Plan, cycle: str, asked: int) -> Seats | None:
    """Return the choice of a number of seats; ``None`` for a plan of one person."""
    if plan.seats_max == 1:
        return None
    current = (status.plan_id, status.cycle) == (plan.id, cycle)
    later = None
    if current and asked < status.seats:
        money = money_text(plan.price(cycle).price_minor * asked, plan.currency)
        later = f"{money} on {_day(status.renews_at or status.ends_at)}"
    return {
        "name": plan.name,
        "asked": asked,
        "has": status.seats if current else None,
        "least": plan.seats_min,
        "most": plan.seats_max,
        "later": later,
    }


def refundable(payment: RefundablePayment) -> RefundView:
    """Return what a payment would refund today."""
    receipt = payment.receipt
    return {
        "id": receipt.id,
        "title": receipt.item,
        "paid_minor": receipt.amounts.total_minor,
        "refunded_minor": receipt.amounts.refunded_minor,
        "back_minor": payment.refundable_minor,
        "currency": receipt.currency,
        "paid_on": _day(receipt.paid_at),
        "until": _day(payment.until),
        "credits_micro": payment.credits_micro,
        "unspent_micro": payment.unspent_micro,
    }


def _offer(view: PlanView, status: PlanStatus | None, has_trial: bool) -> PlanOffer:
    plan = view.plan
    actions: list[PlanAction] = []
    if status is not None:
        cycles = ["month"] if plan.free else list(_CYCLES)
        actions = [_action(view, cycle, status, has_trial) for cycle in cycles]
    return {
        "id": plan.id,
        "name": plan.name,
        "tagline": plan.tagline,
        "credits": view.credits,
        "unused": "" if plan.free else view.unused,
        "makes": view.yields,
        "current": status is not None and status.plan_id == plan.id,
        "free": plan.free,
        "seats_min": plan.seats_min,
        "seats_max": plan.seats_max,
        "prices": [
            {"cycle": "month", "text": view.month, "saving": None},
            {"cycle": "year", "text": view.year, "saving": view.saving},
        ],
        "actions": actions,
    }


def _action(view: PlanView, cycle: str, status: PlanStatus, has_trial: bool) -> PlanAction:
    """Return what choosing a plan in a cycle does."""
    plan = view.plan
    until = _day(status.renews_at or status.ends_at)
    action: PlanAction = {
        "cycle": cycle, "label": None, "note": "", "question": None, "href": None, "seats": None,
    }  # fmt: skip
    if status.free:
        if not plan.free:
            price = view.month if cycle == "month" else view.year
            trial = f"Free for {plan.trial_days} days, then {price}."
            action["label"] = "Try it" if has_trial else "Subscribe"
            action["note"] = trial if has_trial else "Renews automatically until you cancel."
    elif plan.free:
        if status.ends_at is not None:
            action["note"] = f"Starts on {until}."
        else:
            action["label"] = "Cancel plan"
            action["note"] = f"You keep {status.name} until {until}."
            action["question"] = f"Cancel {status.name}?"
    elif plan.id == status.plan_id and cycle == status.cycle:
        action["seats"] = status.seats
        if status.next_name is not None:
            action["label"], action["note"] = f"Keep {plan.name}", "Cancels the planned change."
        elif status.ends_at is not None:
            action["label"], action["note"] = "Resume", f"Otherwise it ends on {until}."
        elif plan.seats_max > 1:
            action["label"] = "Change seats"
            action["href"] = _preview_url(plan, cycle, status.seats)
    elif status.past_due_since is not None:
        action["note"] = "Change your card first."
    else:
        _add_change(action, plan, status, until)
    return action


def _add_change(action: PlanAction, plan: Plan, status: PlanStatus, until: str) -> None:
    """Fill in a change between two paid plans: an upgrade now, or another plan later."""
    cycle = action["cycle"]
    same_cycle = cycle == status.cycle
    seats = min(max(status.seats, plan.seats_min), plan.seats_max)
    larger = same_cycle and plan.price(cycle).price_minor * seats > status.price_minor
    to_yearly = cycle == "year" and plan.month.price_minor * seats >= status.price_minor
    if status.status != "trialing" and (larger or to_yearly):
        action["label"] = "Upgrade"
        action["note"] = "You see the price for the rest of the period before you pay."
        action["href"] = _preview_url(plan, cycle, seats)
    elif same_cycle or status.status == "trialing":
        action["label"] = f"Change to {plan.name}"
        action["note"] = f"From {until}; until then you keep {status.name}."
        action["question"] = f"Change to {plan.name}?"
    else:
        action["note"] = f"Available when your {status.cycle} ends on {until}."


def _preview_url(plan: Plan, cycle: str, seats: int) -> str:
    query: dict[str, str | int] = {"plan": plan.id, "cycle": cycle}
    if plan.seats_max > 1:
        query["seats"] = seats
    return f"/credits/plan?{urlencode(query)}"


def _day(moment: datetime | None) -> str:
    return f"{moment.day} {moment:%b %Y}" if moment else "the end of the paid period"
