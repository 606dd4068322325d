"""Subscriptions, and the events of each change."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import periods
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Json, Store

TRIAL_NOTICE_SECONDS = 3 * periods.DAY_SECONDS
ENDED = ("canceled", "incomplete_expired")
RUNNING = ("active", "trialing", "past_due", "unpaid", "incomplete", "paused")

_CANCELLATION = {"comment": None, "feedback": None, "feedback_option": None, "reason": None}


def create(
    store: Store,
    line_items: list[Json],
    *,
    customer: str,
    method: str | None,
    params: dict[str, Any],
) -> Json:
    """Store and return a subscription to line items; ``params`` is ``subscription_data``."""
    subscription_id = new_id("sub_1")
    trial_days = params.get("trial_period_days")
    trial_end = store.now + trial_days * periods.DAY_SECONDS if trial_days else None
    anchor = trial_end or store.now
    subscription = _subscription(store, subscription_id, customer, params)
    items = [_item(store, subscription_id, line_item) for line_item in line_items]
    subscription |= {
        "billing_cycle_anchor": anchor,
        "currency": line_items[0]["currency"],
        "default_payment_method": method,
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "status": "trialing" if trial_end else "active",
        "trial_end": trial_end,
        "trial_start": store.now if trial_end else None,
    }
    end = trial_end or _period_end(subscription, anchor)
    for item in items:
        item |= {"current_period_start": store.now, "current_period_end": end}
    return _save(store, subscription)


def change(store: Store, subscription: Json, changes: Json) -> Json:
    """Update a subscription and emit the event with the previous values."""
    previous = {
        name: subscription[name]
        for name, value in changes.items()
        if not name.startswith("_") and subscription[name] != value
    }
    changed = _save(store, subscription | changes)
    if previous:
        event.emit(store, "customer.subscription.updated", changed, previous)
    return changed


def end(store: Store, subscription: Json, *, reason: str) -> Json:
    """End a subscription now and emit the event."""
    ended = _save(
        store,
        subscription
        | {
            "status": "canceled",
            "canceled_at": subscription["canceled_at"] or store.now,
            "cancellation_details": {**subscription["cancellation_details"], "reason": reason},
            "ended_at": store.now,
            "_pending": [],
        },
    )
    event.emit(store, "customer.subscription.deleted", ended)
    return ended


def notify_trial_end(store: Store, subscription: Json) -> None:
    """Emit the event that the trial ends soon; it is emitted once."""
    event.emit(store, "customer.subscription.trial_will_end", subscription)
    _save(store, subscription | {"_trial_notice_sent": True})


def item_changes(subscription: Json, items: list[Json]) -> Json:
    """Return the changes that replace the items of a subscription."""
    return {"items": {**subscription["items"], "data": items}}


def period_changes(subscription: Json, start: int, anchor: int, items: list[Json]) -> Json:
    """Return the changes that start a period at ``start``."""
    period_end = _period_end(subscription | item_changes(subscription, items), anchor, start)
    items = [
        {**item, "current_period_start": start, "current_period_end": period_end} for item in items
    ]
    return {**item_changes(subscription, items), "billing_cycle_anchor": anchor}


def period_of(subscription: Json) -> tuple[int, int]:
    """Return start and end of the current period, which all items share."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def with_price(item: Json, price: Json, quantity: int) -> Json:
    """Return an item with another price or quantity."""
    return {**item, "price": price, "plan": _plan(price), "quantity": quantity}


def cancellation_changes(
    subscription: Json, cancel_at: int | None, now: int, *, at_period_end: bool = False
) -> Json:
    """Return the changes that cancel a subscription at a time, or (None) take that back."""
    details = subscription["cancellation_details"]
    cancels = cancel_at is not None
    return {
        "cancel_at_period_end": at_period_end,
        "cancel_at": cancel_at,
        "canceled_at": now if cancels else None,
        "cancellation_details": {
            **details,
            "reason": "cancellation_requested" if cancels else None,
        },
    }


def _save(store: Store, subscription: Json) -> Json:
    """Store a subscription with the time at which it is next due."""
    due = [period_of(subscription)[1]]
    if subscription["cancel_at"] is not None:
        due.append(subscription["cancel_at"])
    if subscription["status"] == "trialing" and not subscription["_trial_notice_sent"]:
        notice_at = subscription["trial_end"] - TRIAL_NOTICE_SECONDS
        due.append(max(subscription["created"], notice_at))
    ended = subscription["status"] in ENDED
    return store.put(subscription | {"_due_at": None if ended else min(due)})


def _period_end(subscription: Json, anchor: int, start: int | None = None) -> int:
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    return periods.period_end_after(
        anchor if start is None else start,
        anchor,
        recurring["interval"],
        recurring["interval_count"],
    )


def _item(store: Store, subscription_id: str, line_item: Json) -> Json:
    return {
        "id": new_id("si_", 14),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": store.now,
        "current_period_end": store.now,
        "current_period_start": store.now,
        "current_trial": None,
        "discounts": [],
        "metadata": line_item["metadata"],
        "plan": _plan(line_item["price"]),
        "price": line_item["price"],
        "quantity": line_item["quantity"],
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _plan(price: Json) -> Json:
    """Return a price as the legacy plan object, which items still include."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _subscription(
    store: Store, subscription_id: str, customer: str, params: dict[str, Any]
) -> Json:
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor_config": None,
        "billing_mode": {
            "flexible": {"proration_discounts": "included"},
            "type": "flexible",
            "updated_at": None,
        },
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": dict(_CANCELLATION),
        "collection_method": "charge_automatically",
        "created": store.now,
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": params.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": params.get("metadata", {}),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "presentment_details": None,
        "schedule": None,
        "start_date": store.now,
        "status_details": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": None,
                "missing_payment_method": "create_invoice",
            }
        },
        "_billed": {},
        "_decline_next": False,
        "_pending": [],
        "_trial_notice_sent": False,
    }
