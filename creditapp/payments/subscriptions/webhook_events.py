"""Webhooks about a plan that changed, queued in the transaction of the posting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import webhooks_out
from creditapp.payments.subscriptions.models import PlanPrice, Subscription


def shown(subscription: Subscription) -> dict[str, object]:
    """Return the part of a subscription whose change is told."""
    return {
        "price_id": subscription.price_id,
        "seats": subscription.quantity,
        "next_price_id": subscription.next_price_id,
        "next_seats": subscription.next_quantity,
        "status": subscription.status,
        "period_end": subscription.period_end,
        "cancel_at": subscription.cancel_at,
        "ended_at": subscription.ended_at,
        "past_due_since": subscription.past_due_since,
    }


def queue_changed(
    session: Session, subscription: Subscription, prices: Mapping[str, PlanPrice], *, now: datetime
) -> None:
    """Tell the subscriber's servers how the plan is now."""
    price = prices.get(subscription.price_id)
    next_price = prices.get(subscription.next_price_id)
    data: dict[str, object] = {
        "id": subscription.id,
        "status": subscription.status,
        "planId": price.plan_id if price else None,
        "planName": price.plan_name if price else None,
        "cycle": price.cycle if price else None,
        "seats": subscription.quantity,
        "nextPlanId": next_price.plan_id if next_price else None,
        "nextSeats": subscription.next_quantity,
        "periodEnd": subscription.period_end,
        "pastDueSince": subscription.past_due_since,
        "cancelAt": subscription.cancel_at,
        "endedAt": subscription.ended_at,
        "livemode": subscription.livemode,
    }
    key = f"subscription.changed:{subscription.id}:{subscription.version}"
    webhooks_out.queue(session, subscription.user_id, "subscription.changed", data, key, now=now)
