"""Which plan somebody is on, in the terms that pages and programs show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.catalog import Catalog
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import PlanPrice, Subscription
from creditapp.services import get

FREE = "free"


@dataclass(frozen=True)
class PlanStatus:
    """A plan with what is paid, what comes next, and what is wrong with it."""

    plan_id: str
    name: str
    kind: str
    cycle: str | None
    """``month`` or ``year``; None on the free plan, which nobody pays."""
    status: str
    """Stripe's word, or ``free``."""
    seats: int = 1
    price_minor: int = 0
    currency: str = "USD"
    credits_micro: int = 0
    """Each month, over all seats."""
    renews_at: datetime | None = None
    ends_at: datetime | None = None
    """Set where it will not renew."""
    trial_end: datetime | None = None
    past_due_since: datetime | None = None
    next_try_at: datetime | None = None
    next_name: str | None = None
    """The plan that the next invoice is for, where that is not what is paid for now."""
    next_seats: int = 1
    next_price_minor: int | None = None
    subscription_id: str | None = None

    @property
    def free(self) -> bool:
        """Whether nothing is paid for it."""
        return self.cycle is None


def of(session: Session, user_id: str) -> PlanStatus:
    """Return a user's plan, in at most two queries; everybody without a subscription is on Free."""
    live = subscription_sync.live_of(session, user_id)
    if live is None:
        return free()
    return described(session, live)


def free() -> PlanStatus:
    """Return what everybody is on who does not subscribe."""
    plan = get(Catalog).plans[0]
    return PlanStatus(plan.id, plan.name, plan.kind, None, FREE, currency=plan.currency)


def described(session: Session, row: Subscription) -> PlanStatus:
    """Return a subscription in words and amounts, in one query."""
    ids = {row.price_id, row.next_price_id}
    prices = {
        price.id: price for price in session.scalars(select(PlanPrice).where(PlanPrice.id.in_(ids)))
    }
    price, following = prices.get(row.price_id), prices.get(row.next_price_id)
    if price is None:
        # It was begun with a price of another shop's; what it is called there is not ours to say.
        return PlanStatus(
            "", "Another plan", "credits", "month", row.status, subscription_id=row.id
        )
    ends = row.cancel_at_period_end
    comes = following if row.will_change and not ends else None
    return PlanStatus(
        plan_id=price.plan_id,
        name=price.plan_name,
        kind=price.kind,
        cycle=price.cycle,
        status=row.status,
        seats=row.quantity,
        price_minor=price.price_minor * row.quantity,
        currency=price.currency.upper(),
        credits_micro=price.credits_micro * row.quantity,
        renews_at=None if ends else row.period_end,
        ends_at=row.period_end if ends else row.ended_at,
        trial_end=row.trial_end if row.status == "trialing" else None,
        past_due_since=row.past_due_since,
        next_try_at=row.next_try_at,
        next_name=comes.plan_name if comes else None,
        next_seats=row.next_quantity,
        next_price_minor=comes.price_minor * row.next_quantity if comes else None,
        subscription_id=row.id,
    )
