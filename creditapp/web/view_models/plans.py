"""Plans: prices, the current plan, and what choosing another one does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from creditapp.catalog import Catalog, Plan
from creditapp.catalog import amount as amount_text
from creditapp.catalog.packs import PlanView, plans_view
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.http.moments import short_day
from creditapp.http.rendering import with_query
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.units import money_text

_CYCLES = {"month": "Monthly", "year": "Yearly"}


@dataclass(frozen=True)
class Fact:
    """A labelled value of the ``plan_card`` component."""

    label: str
    text: str


@dataclass(frozen=True)
class PlanCard:
    """The ``plan_card`` component."""

    status: PlanStatus
    facts: Sequence[Fact]


@dataclass(frozen=True)
class PlanAction:
    """Button of a plan by billing cycle (none without a label), with a note that explains it.

    ``question`` asks before the change, ``href`` shows a preview first, ``seats`` is the number
    that is sent without a field for it, and ``cancels`` ends the plan instead of choosing one.
    """

    cycle: str
    label: str | None = None
    note: str = ""
    question: str | None = None
    href: str | None = None
    seats: int | None = None
    cancels: bool = False


@dataclass(frozen=True)
class PlanOffer:
    """A row of the ``plan_list`` component; a guest has no actions."""

    view: PlanView
    current: bool
    actions: Sequence[PlanAction]


@dataclass(frozen=True)
class Seats:
    """Choice of a number of seats; ``later`` is the next payment where they apply from then on."""

    plan: Plan
    chosen: int
    current: int | None
    later: str | None


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
        facts.append(Fact("Billing", _CYCLES[status.cycle or "month"]))
        allowance = f"{amount_text(catalog, status.credits_micro)} a month"
        facts.append(Fact("Credits", PLAN_KINDS[status.kind].describe(allowance)))
        if status.seats > 1:
            facts.append(Fact("Seats", str(status.seats)))
    if status.trial_end is not None:
        facts.append(Fact("Trial ends", _day(status.trial_end)))
    if status.renews_at is not None and status.past_due_since is None:
        price_minor = status.price_minor
        if status.next_price_minor is not None:
            price_minor = status.next_price_minor
        money = money_text(price_minor, status.currency)
        facts.append(Fact("Next payment", f"{money} on {_day(status.renews_at)}"))
    if status.next_name is not None:
        seats = f", {status.next_seats} seats" if status.next_seats > 1 else ""
        facts.append(Fact("Changes to", f"{status.next_name}{seats}"))
    return PlanCard(status, facts)


def seats(status: PlanStatus, plan: Plan, cycle: str, chosen: int) -> Seats | None:
    """Return the choice of a number of seats; ``None`` for a plan of one person."""
    if plan.seats_max == 1:
        return None
    current = (status.plan_id, status.cycle) == (plan.id, cycle)
    later = None
    if current and chosen < status.seats:
        money = money_text(plan.price(cycle).price_minor * chosen, plan.currency)
        later = f"{money} on {_day(status.renews_at or status.ends_at)}"
    return Seats(plan, chosen, status.seats if current else None, later)


def _offer(view: PlanView, status: PlanStatus | None, has_trial: bool) -> PlanOffer:
    if status is None:
        return PlanOffer(view, current=False, actions=())
    cycles = ("month",) if view.plan.free else tuple(_CYCLES)
    actions = [action for cycle in cycles for action in _actions(view, cycle, status, has_trial)]
    return PlanOffer(view, status.plan_id == view.plan.id, actions)


def _actions(view: PlanView, cycle: str, status: PlanStatus, has_trial: bool) -> list[PlanAction]:
    """Return what can be done with a plan in a cycle; canceling belongs to the current one."""
    plan = view.plan
    until = _day(status.renews_at or status.ends_at)
    if status.free:
        return [_subscribe(view, cycle, has_trial)]
    if plan.free:
        starts = (
            f"Starts on {_day(status.ends_at)}."
            if status.ends_at
            else f"Follows when you cancel {status.name}."
        )
        return [PlanAction(cycle, note=starts)]
    if (plan.id, cycle) == (status.plan_id, status.cycle):
        actions = [_keep(plan, cycle, status)]
        return actions if status.ends_at is not None else [*actions, _cancel(cycle, status, until)]
    if status.past_due_since is not None:
        return [PlanAction(cycle, note="Change your card first.")]
    return [_change(plan, cycle, status, until)]


def _subscribe(view: PlanView, cycle: str, has_trial: bool) -> PlanAction:
    """Return what a member on Free can do."""
    plan = view.plan
    if plan.free:
        return PlanAction(cycle)
    if not has_trial:
        return PlanAction(cycle, "Subscribe", "Renews automatically until you cancel.")
    price = (view.month if cycle == "month" else view.year).price
    return PlanAction(cycle, "Try it", f"Free for {plan.trial_days} days, then {price}.")


def _cancel(cycle: str, status: PlanStatus, until: str) -> PlanAction:
    note = f"You keep {status.name} until {until}."
    return PlanAction(cycle, "Cancel plan", note, f"Cancel {status.name}?", cancels=True)


def _keep(plan: Plan, cycle: str, status: PlanStatus) -> PlanAction:
    """Return what can be done with the current plan: undo what is planned, or change its seats."""
    seats = status.seats
    if status.next_name is not None:
        return PlanAction(cycle, f"Keep {plan.name}", "Cancels the planned change.", seats=seats)
    if status.ends_at is not None:
        return PlanAction(
            cycle, "Resume", f"Otherwise it ends on {_day(status.ends_at)}.", seats=seats
        )
    if plan.seats_max > 1:
        href = _preview_url(plan, cycle, seats)
        return PlanAction(cycle, "Change seats", href=href, seats=seats)
    return PlanAction(cycle, seats=seats)


def _change(plan: Plan, cycle: str, status: PlanStatus, until: str) -> PlanAction:
    """Return a change between two paid plans: an upgrade now, or another plan later."""
    same_cycle = cycle == status.cycle
    seats = min(max(status.seats, plan.seats_min), plan.seats_max)
    larger = same_cycle and plan.price(cycle).price_minor * seats > status.price_minor
    to_yearly = cycle == "year" and plan.month.price_minor * seats >= status.price_minor
    if status.status != "trialing" and (larger or to_yearly):
        note = "You see the price for the rest of the period before you pay."
        return PlanAction(cycle, "Upgrade", note, href=_preview_url(plan, cycle, seats))
    if same_cycle or status.status == "trialing":
        note = f"From {until}; until then you keep {status.name}."
        question = f"Change to {plan.name}?"
        return PlanAction(cycle, f"Change to {plan.name}", note, question)
    return PlanAction(cycle, note=f"Available when your {status.cycle} ends on {until}.")


def _preview_url(plan: Plan, cycle: str, seats: int) -> str:
    fields = {"plan": plan.id, "cycle": cycle, "seats": seats if plan.seats_max > 1 else None}
    return with_query("/credits/plan", fields)


def _day(moment: datetime | None) -> str:
    return short_day(moment) if moment else "the end of the paid period"
