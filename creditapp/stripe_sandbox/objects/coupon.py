"""Coupons: amount and duration of a discount."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, params: dict[str, Any]) -> Json:
    """Store and return a coupon, and emit the event."""
    _validate(store, params)
    duration = params.get("duration", "once")
    percent = params.get("percent_off")
    coupon = store.put(
        {
            "id": params.get("id") or new_id("", 8),
            "object": "coupon",
            "amount_off": params.get("amount_off"),
            "created": store.now,
            "currency": params["currency"].lower() if "amount_off" in params else None,
            "duration": duration,
            "duration_in_months": params.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": params.get("metadata") or {},
            "name": params.get("name"),
            "percent_off": percent,
            "redeem_by": params.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
        }
    )
    event.emit(store, "coupon.created", coupon)
    return coupon


def redeem(store: Store, coupon: Json) -> None:
    """Count one redemption of a coupon and emit the event."""
    times = coupon["times_redeemed"] + 1
    used_up = coupon["max_redemptions"] is not None and times >= coupon["max_redemptions"]
    changes = {"times_redeemed": times, "valid": coupon["valid"] and not used_up}
    previous = {name: coupon[name] for name in changes if coupon[name] != changes[name]}
    event.emit(store, "coupon.updated", store.put(coupon | changes), previous)


def is_redeemable(store: Store, coupon: Json) -> bool:
    """Whether a coupon can still be redeemed."""
    expired = coupon["redeem_by"] is not None and coupon["redeem_by"] <= store.now
    return bool(coupon["valid"] and not expired)


def _validate(store: Store, params: dict[str, Any]) -> None:
    if ("percent_off" in params) == ("amount_off" in params):
        raise StripeAPIError(
            "You must pass either `percent_off` or `amount_off`, and not both.", param="percent_off"
        )
    if "amount_off" in params and "currency" not in params:
        raise StripeAPIError(
            "Missing required param: currency.", code="parameter_missing", param="currency"
        )
    if (params.get("duration") == "repeating") != ("duration_in_months" in params):
        raise StripeAPIError(
            "`duration_in_months` goes with the duration `repeating`, and with no other.",
            param="duration_in_months",
        )
    if params.get("id") and store.get("coupon", params["id"]):
        raise StripeAPIError("Coupon already exists.", code="resource_already_exists", param="id")
