"""Coupons: what is taken off, and for how long."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, given: dict[str, Any]) -> Json:
    """Store and return a coupon, and tell of it."""
    _refuse_what_does_not_fit(books, given)
    duration = given.get("duration", "once")
    percent = given.get("percent_off")
    coupon = books.put(
        {
            "id": given.get("id") or new_id("", 8),
            "object": "coupon",
            "amount_off": given.get("amount_off"),
            "created": books.now,
            "currency": given["currency"].lower() if "amount_off" in given else None,
            "duration": duration,
            "duration_in_months": given.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": given.get("max_redemptions"),
            "metadata": given.get("metadata") or {},
            "name": given.get("name"),
            "percent_off": percent,
            "redeem_by": given.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
        }
    )
    event.tell(books, "coupon.created", coupon)
    return coupon


def redeem(books: Books, coupon: Json) -> None:
    """Count one use of a coupon and tell of it."""
    times = coupon["times_redeemed"] + 1
    used_up = coupon["max_redemptions"] is not None and times >= coupon["max_redemptions"]
    changes = {"times_redeemed": times, "valid": coupon["valid"] and not used_up}
    previous = {name: coupon[name] for name in changes if coupon[name] != changes[name]}
    event.tell(books, "coupon.updated", books.put(coupon | changes), previous)


def is_good(books: Books, coupon: Json) -> bool:
    """Return whether a coupon may still be used."""
    late = coupon["redeem_by"] is not None and coupon["redeem_by"] <= books.now
    return bool(coupon["valid"] and not late)


def _refuse_what_does_not_fit(books: Books, given: dict[str, Any]) -> None:
    if ("percent_off" in given) == ("amount_off" in given):
        raise Refused(
            "You must pass either `percent_off` or `amount_off`, and not both.",
            param="percent_off",
        )
    if "amount_off" in given and "currency" not in given:
        raise Refused(
            "Missing required param: currency.", code="parameter_missing", param="currency"
        )
    if (given.get("duration") == "repeating") != ("duration_in_months" in given):
        raise Refused(
            "`duration_in_months` goes with the duration `repeating`, and with no other.",
            param="duration_in_months",
        )
    if given.get("id") and books.get("coupon", given["id"]):
        raise Refused("Coupon already exists.", code="resource_already_exists", param="id")
