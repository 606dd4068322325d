"""Discounts: a coupon applied to one subscription."""

from __future__ import annotations

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.periods import add_months
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, session: Json, coupon: Json, subscription: Json) -> Json:
    """Store and return the discount of a subscription from its checkout."""
    months = coupon["duration_in_months"]
    return store.put(
        {
            "id": new_id("di_1"),
            "object": "discount",
            "checkout_session": session["id"],
            "customer": subscription["customer"],
            "customer_account": None,
            "end": add_months(store.now, months) if months else None,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": session["discounts"][0]["promotion_code"],
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": store.now,
            "subscription": subscription["id"],
            "subscription_item": None,
        }
    )


def of_subscription(store: Store, subscription: Json, at: int) -> tuple[Json, Json] | None:
    """Return the discount that applies at a moment and its coupon, or None."""
    for discount_id in subscription["discounts"]:
        discount = store.get("discount", discount_id)
        coupon = store.get("coupon", discount["source"]["coupon"]) if discount else None
        if discount and coupon and (discount["end"] is None or at < discount["end"]):
            return discount, coupon
    return None


def remaining_after(store: Store, subscription: Json, invoice: Json) -> list[str]:
    """Return the ids of the discounts that remain after an invoice."""
    applied = of_subscription(store, subscription, invoice["lines"]["data"][-1]["period"]["start"])
    if applied is None:
        return []
    once = applied[1]["duration"] == "once" and invoice["total_discount_amounts"]
    return [] if once else [applied[0]["id"]]
