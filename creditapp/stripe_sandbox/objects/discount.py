"""Discounts: a coupon as one subscription has it."""

from __future__ import annotations

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.periods import months_on
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, session: Json, coupon: Json, subscription: Json) -> Json:
    """Store and return the discount that a checkout gives its subscription."""
    months = coupon["duration_in_months"]
    return books.put(
        {
            "id": new_id("di_1"),
            "object": "discount",
            "checkout_session": session["id"],
            "customer": subscription["customer"],
            "customer_account": None,
            "end": months_on(books.now, months) if months else None,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": session["discounts"][0]["promotion_code"],
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": books.now,
            "subscription": subscription["id"],
            "subscription_item": None,
        }
    )


def of_subscription(books: Books, subscription: Json, at: int) -> tuple[Json, Json] | None:
    """Return the discount that holds at a moment, with its coupon, or None."""
    for named in subscription["discounts"]:
        discount = books.get("discount", named)
        coupon = books.get("coupon", discount["source"]["coupon"]) if discount else None
        if discount and coupon and (discount["end"] is None or at < discount["end"]):
            return discount, coupon
    return None


def left_after(books: Books, subscription: Json, invoice: Json) -> list[str]:
    """Return the discounts that a subscription still has after an invoice."""
    held = of_subscription(books, subscription, invoice["lines"]["data"][-1]["period"]["start"])
    if held is None:
        return []
    once = held[1]["duration"] == "once" and invoice["total_discount_amounts"]
    return [] if once else [held[0]["id"]]
