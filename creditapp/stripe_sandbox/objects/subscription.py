"""Subscriptions: a price paid again and again, and the events that tell of each change."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import periods
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Books, Json

TRIAL_NOTICE_SECONDS = 3 * periods.DAY_SECONDS
ENDED = ("canceled", "incomplete_expired")
RUNNING = ("active", "trialing", "past_due", "unpaid", "incomplete", "paused")

_CANCELLATION = {"comment": None, "feedback": None, "feedback_option": None, "reason": None}


def create(
    books: Books,
    sold: list[Json],
    *,
    customer: str,
    method: str | None,
    given: dict[str, Any],
) -> Json:
    """Store and return a subscription to some line items; ``given`` is ``subscription_data``."""
    subscription_id = new_id("sub_1")
    trial_days = given.get("trial_period_days")
    trial_end = books.now + trial_days * periods.DAY_SECONDS if trial_days else None
    anchor = trial_end or books.now
    subscription = _subscription(books, subscription_id, customer, given)
    items = [_item(books, subscription_id, each) for each in sold]
    subscription |= {
        "billing_cycle_anchor": anchor,
        "currency": sold[0]["currency"],
        "default_payment_method": method,
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "status": "trialing" if trial_end else "active",
        "trial_end": trial_end,
        "trial_start": books.now if trial_end else None,
    }
    end = trial_end or _period_end(subscription, anchor)
    for item in items:
        item |= {"current_period_start": books.now, "current_period_end": end}
    return _kept(books, subscription)


def change(books: Books, subscription: Json, changes: Json) -> Json:
    """Change a subscription and tell of it, with what it was before."""
    previous = {
        name: subscription[name]
        for name, value in changes.items()
        if not name.startswith("_") and subscription[name] != value
    }
    changed = _kept(books, subscription | changes)
    if previous:
        event.tell(books, "customer.subscription.updated", changed, previous)
    return changed


def end(books: Books, subscription: Json, *, reason: str) -> Json:
    """End a subscription now and tell of it."""
    ended = _kept(
        books,
        subscription
        | {
            "status": "canceled",
            "canceled_at": subscription["canceled_at"] or books.now,
            "cancellation_details": {**subscription["cancellation_details"], "reason": reason},
            "ended_at": books.now,
            "_pending": [],
        },
    )
    event.tell(books, "customer.subscription.deleted", ended)
    return ended


def tell_of_trial_end(books: Books, subscription: Json) -> None:
    """Say that the trial ends soon, once."""
    event.tell(books, "customer.subscription.trial_will_end", subscription)
    _kept(books, subscription | {"_trial_told": True})


def with_items(subscription: Json, items: list[Json]) -> Json:
    """Return the change that puts other items into a subscription."""
    return {"items": {**subscription["items"], "data": items}}


def in_period(subscription: Json, start: int, anchor: int, items: list[Json]) -> Json:
    """Return the change that begins a period at ``start``."""
    lying = subscription | with_items(subscription, items)
    finish = _period_end(lying, anchor, start)
    moved = [
        {**item, "current_period_start": start, "current_period_end": finish} for item in items
    ]
    return {**with_items(subscription, moved), "billing_cycle_anchor": anchor}


def period_of(subscription: Json) -> tuple[int, int]:
    """Return the present period's bounds, which all items share."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def at_price(item: Json, price: Json, quantity: int) -> Json:
    """Return an item with another price or quantity."""
    return {**item, "price": price, "plan": _plan(price), "quantity": quantity}


def cancelling(subscription: Json, at_period_end: bool, now: int) -> Json:
    """Return the change that ends a subscription with its period, or takes that back."""
    details = subscription["cancellation_details"]
    return {
        "cancel_at_period_end": at_period_end,
        "cancel_at": period_of(subscription)[1] if at_period_end else None,
        "canceled_at": now if at_period_end else None,
        "cancellation_details": {
            **details,
            "reason": "cancellation_requested" if at_period_end else None,
        },
    }


def _kept(books: Books, subscription: Json) -> Json:
    """Store a subscription with the moment at which something happens to it next."""
    due: int | None = period_of(subscription)[1]
    if subscription["status"] in ENDED:
        due = None
    elif subscription["status"] == "trialing" and not subscription["_trial_told"]:
        due = max(subscription["created"], subscription["trial_end"] - TRIAL_NOTICE_SECONDS)
    return books.put(subscription | {"_due_at": due})


def _period_end(subscription: Json, anchor: int, start: int | None = None) -> int:
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    return periods.boundary_after(
        anchor if start is None else start,
        anchor,
        recurring["interval"],
        recurring["interval_count"],
    )


def _item(books: Books, subscription_id: str, sold: Json) -> Json:
    return {
        "id": new_id("si_", 14),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": books.now,
        "current_period_end": books.now,
        "current_period_start": books.now,
        "current_trial": None,
        "discounts": [],
        "metadata": sold["metadata"],
        "plan": _plan(sold["price"]),
        "price": sold["price"],
        "quantity": sold["quantity"],
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _plan(price: Json) -> Json:
    """Return a price in its old shape, which items still carry."""
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


def _subscription(books: Books, subscription_id: str, customer: str, given: dict[str, Any]) -> Json:
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
        "created": books.now,
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": given.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": given.get("metadata", {}),
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
        "start_date": books.now,
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
        "_trial_told": False,
    }
