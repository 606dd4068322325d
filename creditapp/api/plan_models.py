"""What the JSON API says about plans, typed as in ``models``."""

from __future__ import annotations

from decimal import Decimal

from creditapp.api.models import Answer, Credits, Moment


class PlanCost(Answer):
    """What a plan costs in one cycle."""

    price: Decimal
    price_minor: int


class PlanAnswer(Answer):
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


class CurrentPlan(Answer):
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


class PlansAnswer(Answer):
    """Every plan, the caller's own and the balance; a guest has neither."""

    plans: list[PlanAnswer]
    current_plan: CurrentPlan | None = None
    balance: Credits | None = None


class UpgradeAnswer(Answer):
    """What came of choosing a plan: a checkout to go to, or a changed plan."""

    outcome: str
    url: str | None = None
    plan: CurrentPlan | None = None


class Entitled(Answer):
    """The credits of an account."""

    balance: Credits
    held: Credits
    owed: Credits
    lifetime_spent: Credits


class EntitlementsAnswer(Answer):
    """What an account may use: ``features`` are the operations that are on offer."""

    credits: Entitled
    plan: CurrentPlan
    subscriptions: list[CurrentPlan]
    features: list[str]
