"""Current plan of a user, as pages and the API show it. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.catalog import Catalog
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import Subscription
from creditapp.services import get


@dataclass(frozen=True)
class PlanStatus:
    """A plan, its price, what follows it and whether a payment failed."""

    plan_id: str
    name: str
    kind: str
    cycle: str | None
    """``month`` or ``year``; None on the free plan."""
    status: str
    """Stripe's status, or ``free``."""
    seats: int = 1
    price_minor: int = 0
    currency: str = "USD"
    credits_micro: int = 0
    """Per month, for all seats."""
    renews_at: datetime | None = None
    ends_at: datetime | None = None
    """Set if it will not renew."""
    trial_end: datetime | None = None
    past_due_since: datetime | None = None
    next_try_at: datetime | None = None
    next_name: str | None = None
    """The plan that the next invoice charges, if it differs from the current one."""
    next_seats: int = 1
    next_price_minor: int | None = None
    subscription_id: str | None = None

    @property
    def free(self) -> bool:
        """Whether nothing is paid for it."""
        return self.cycle is None


def get_status(session: Session, user_id: str) -> PlanStatus:
    """Return a user's plan, in at most two queries; the free plan without a subscription."""
    subscription = subscription_sync.find_current(session, user_id)
    if subscription is not None:
        return describe(session, subscription)
    plan = get(Catalog).plans[0]
    return PlanStatus(plan.id, plan.name, plan.kind, None, "free", currency=plan.currency)


def describe(session: Session, row: Subscription) -> PlanStatus:
    """Return the status of one subscription, in one query."""
    prices = plan_prices.stored_prices(session, {row.price_id, row.next_price_id})
    price = prices.get(row.price_id)
    if price is None:
        # It was created with a price of another shop on the account, whose name is unknown here.
        return PlanStatus(
            "", "Another plan", "credits", "month", row.status, subscription_id=row.id
        )
    renews = row.cancel_at is None or row.cancel_at > row.period_end
    next_price = prices.get(row.next_price_id) if row.will_change and renews else None
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
        renews_at=row.period_end if renews else None,
        ends_at=row.ended_at or row.cancel_at,
        trial_end=row.trial_end if row.status == "trialing" else None,
        past_due_since=row.past_due_since,
        next_try_at=row.next_try_at,
        next_name=next_price.plan_name if next_price else None,
        next_seats=row.next_quantity,
        next_price_minor=next_price.price_minor * row.next_quantity if next_price else None,
        subscription_id=row.id,
    )
