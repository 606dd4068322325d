"""Plans in words: what each costs and gives, and what choosing it would do."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from urllib.parse import urlencode

from creditapp.catalog import Catalog, Plan
from creditapp.catalog import amount as amount_text
from creditapp.catalog.packs import PlanView, plans_view
from creditapp.catalog.plan_kinds import PLAN_KINDS
from creditapp.payments.refunds.policy import RefundablePayment
from creditapp.payments.subscriptions.preview import UpgradePreview
from creditapp.payments.subscriptions.status import PlanStatus
from creditapp.services import get
from creditapp.units import money_text
from creditapp.web.view_models.view_model import ViewModel

_CYCLES = {"month": "by the month", "year": "by the year"}


def plans(mine: PlanStatus | None, tries: Collection[str] = ()) -> list[ViewModel]:
    """Return the plans as their list compares them, for a guest (None) or for a plan's owner.

    ``tries`` are the plans that this person may try before paying.
    """
    return [_offer(view, mine, view.plan.id in tries) for view in plans_view(get(Catalog))]


def plan(mine: PlanStatus) -> ViewModel:
    """Return the plan that somebody is on, as the dashboard's card shows it."""
    catalog = get(Catalog)
    facts: list[ViewModel] = []
    if not mine.free:
        facts.append({"label": "Paid", "text": _CYCLES[mine.cycle or "month"]})
        monthly = f"{amount_text(catalog, mine.credits_micro)} a month"
        facts.append({"label": "Credits", "text": PLAN_KINDS[mine.kind].describe(monthly)})
        if mine.seats > 1:
            facts.append({"label": "Seats", "text": str(mine.seats)})
    if mine.trial_end is not None:
        facts.append({"label": "Trial ends", "text": _day(mine.trial_end)})
    if mine.renews_at is not None and mine.past_due_since is None:
        price = mine.next_price_minor if mine.next_price_minor is not None else mine.price_minor
        money = money_text(price, mine.currency)
        facts.append({"label": "Next payment", "text": f"{money} on {_day(mine.renews_at)}"})
    if mine.next_name is not None:
        seats = f", {mine.next_seats} seats" if mine.next_seats > 1 else ""
        facts.append({"label": "Changes to", "text": f"{mine.next_name}{seats}"})
    return {
        "name": mine.name,
        "free": mine.free,
        "status": mine.status,
        "facts": facts,
        "ends_on": _day(mine.ends_at) if mine.ends_at else None,
        "past_due": mine.past_due_since is not None,
        "next_try_on": _day(mine.next_try_at) if mine.next_try_at else None,
    }


def upgrade(offer: UpgradePreview) -> ViewModel:
    """Return what an upgrade charges and gives, as its page shows it."""
    return {
        "name": offer.plan_name,
        "paid": _CYCLES[offer.cycle],
        "from_name": offer.current_name,
        "charged_minor": offer.charged_minor,
        "currency": offer.currency,
        "credits_micro": offer.credits_micro,
        "renews": f"{money_text(offer.renews_minor, offer.currency)} on {_day(offer.renews_at)}",
    }


def seats(mine: PlanStatus, plan: Plan, cycle: str, asked: int) -> ViewModel | None:
    """Return the choice of a number of seats, and what fewer of them mean; None for one person.

    ``later`` is set where the number counts from the next payment on.
    """
    if plan.seats_max == 1:
        return None
    same = (mine.plan_id, mine.cycle) == (plan.id, cycle)
    later = None
    if same and asked < mine.seats:
        money = money_text(plan.price(cycle).price_minor * asked, plan.currency)
        later = f"{money} on {_day(mine.renews_at or mine.ends_at)}"
    return {
        "name": plan.name,
        "asked": asked,
        "has": mine.seats if same else None,
        "least": plan.seats_min,
        "most": plan.seats_max,
        "later": later,
    }


def refundable(payment: RefundablePayment) -> ViewModel:
    """Return what a payment would give back, as the refund page shows it."""
    return {
        "id": payment.id,
        "title": payment.title,
        "paid_minor": payment.paid_minor,
        "refunded_minor": payment.refunded_minor,
        "back_minor": payment.refundable_minor,
        "currency": payment.currency,
        "paid_on": _day(payment.paid_at),
        "until": _day(payment.until),
        "credits_micro": payment.credits_micro,
        "unspent_micro": payment.unspent_micro,
    }


def _offer(view: PlanView, mine: PlanStatus | None, may_try: bool) -> ViewModel:
    plan = view.plan
    current = mine is not None and mine.plan_id == plan.id
    ways = [] if mine is None else [_way(view, cycle, mine, may_try) for cycle in _CYCLES]
    return {
        "id": plan.id,
        "name": plan.name,
        "tagline": plan.tagline,
        "credits": view.credits,
        "unused": "" if plan.free else view.unused,
        "makes": view.makes,
        "current": current,
        "free": plan.free,
        "seats_min": plan.seats_min,
        "seats_max": plan.seats_max,
        "prices": [
            {"cycle": "month", "text": view.month, "saving": None},
            {"cycle": "year", "text": view.year, "saving": view.saving},
        ],
        "ways": ways[:1] if plan.free else ways,
    }


def _way(view: PlanView, cycle: str, mine: PlanStatus, may_try: bool) -> ViewModel:
    """Return what choosing a plan in a cycle does: its word, and a sentence."""
    plan, today = view.plan, mine
    until = _day(today.renews_at or today.ends_at)
    shape: ViewModel = {
        "cycle": cycle, "word": None, "says": "", "asks": None, "href": None, "seats": None,
    }  # fmt: skip
    if today.free:
        if plan.free:
            return shape
        then = view.month if cycle == "month" else view.year
        trial = f"Free for {plan.trial_days} days, then {then}."
        says = trial if may_try else "Renews by itself until you cancel."
        return shape | {"word": "Try it" if may_try else "Subscribe", "says": says}
    if plan.free:
        if today.ends_at is not None:
            return shape | {"says": f"Yours from {until}."}
        says = f"{today.name} ends on {until}; what you have stays."
        return shape | {"word": "Cancel plan", "says": says, "asks": f"Cancel {today.name}?"}
    if plan.id == today.plan_id and cycle == today.cycle:
        if today.next_name is not None:
            shape |= {"word": f"Keep {plan.name}", "says": "Takes the change back."}
        elif today.ends_at is not None:
            shape |= {"word": "Resume", "says": f"It would end on {until}."}
        elif plan.seats_max > 1:
            shape |= {"word": "Change seats", "href": _shown_first(plan, cycle, today.seats)}
        return shape | {"seats": today.seats}
    if today.past_due_since is not None:
        return shape | {"says": "Change your card first."}
    return shape | _change(plan, cycle, today, until)


def _change(plan: Plan, cycle: str, today: PlanStatus, until: str) -> ViewModel:
    price = plan.price(cycle).price_minor
    paid = today.price_minor
    same = cycle == today.cycle
    seats = min(max(today.seats, plan.seats_min), plan.seats_max)
    monthly_better = cycle == "year" and plan.month.price_minor * seats >= paid
    if today.status != "trialing" and ((same and price * seats > paid) or monthly_better):
        return {
            "word": "Upgrade",
            "says": "You see what it costs now, for the time left, before you pay.",
            "href": _shown_first(plan, cycle, seats),
        }
    if same or today.status == "trialing":
        return {
            "word": f"Change to {plan.name}",
            "says": f"From {until}; until then you keep {today.name}.",
            "asks": f"Change to {plan.name}?",
        }
    return {"says": f"Possible when your {today.cycle} ends on {until}."}


def _shown_first(plan: Plan, cycle: str, seats: int) -> str:
    asked: dict[str, str | int] = {"plan": plan.id, "cycle": cycle}
    return f"/credits/plan?{urlencode(asked | ({'seats': seats} if plan.seats_max > 1 else {}))}"


def _day(moment: datetime | None) -> str:
    return f"{moment.day} {moment:%b %Y}" if moment else "the end of what is paid"
