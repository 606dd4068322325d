"""Promotion codes, which buyers enter to redeem a coupon."""

from __future__ import annotations

import secrets
import string
from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import coupon as coupons
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects.customer import merge_metadata
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, params: dict[str, Any]) -> Json:
    """Store and return a promotion code, and emit the event."""
    coupon_id = params["promotion"].get("coupon")
    coupon = store.get("coupon", coupon_id or "")
    if coupon is None:
        raise missing_object("coupon", coupon_id or "", param="promotion[coupon]")
    code = params.get("code") or "".join(
        secrets.choice(string.ascii_uppercase + string.digits) for _ in range(8)
    )
    if _active_codes(store, code):
        raise StripeAPIError(
            f"An active promotion code with `code: {code}` already exists.", param="code"
        )
    promotion_code = store.put(
        {
            "id": new_id("promo_1"),
            "object": "promotion_code",
            "active": params.get("active", True),
            "code": code,
            "created": store.now,
            "customer": None,
            "customer_account": None,
            "expires_at": params.get("expires_at"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": params.get("metadata", {}),
            "promotion": {"coupon": coupon["id"], "type": "coupon"},
            "restrictions": {
                "first_time_transaction": False,
                "minimum_amount": None,
                "minimum_amount_currency": None,
            },
            "times_redeemed": 0,
        }
    )
    event.emit(store, "promotion_code.created", promotion_code)
    return promotion_code


def update(store: Store, code: Json, params: dict[str, Any]) -> Json:
    """Activate or deactivate a code, or change its metadata."""
    changes: Json = {}
    if "active" in params:
        changes["active"] = params["active"]
    if "metadata" in params:
        changes["metadata"] = merge_metadata(code["metadata"], params["metadata"])
    return _change(store, code, changes)


def redeem(store: Store, code: Json) -> None:
    """Count one redemption of a code and of its coupon."""
    times = code["times_redeemed"] + 1
    used_up = code["max_redemptions"] is not None and times >= code["max_redemptions"]
    _change(store, code, {"times_redeemed": times, "active": code["active"] and not used_up})
    coupon = store.get("coupon", code["promotion"]["coupon"])
    if coupon is not None:
        coupons.redeem(store, coupon)


def redeemable_coupon(store: Store, code: Json | None) -> Json | None:
    """Return the coupon of a code that can be redeemed now, or None."""
    if code is None or not code["active"]:
        return None
    if code["expires_at"] is not None and code["expires_at"] <= store.now:
        return None
    coupon = store.get("coupon", code["promotion"]["coupon"])
    return coupon if coupon and coupons.is_redeemable(store, coupon) else None


def by_code(store: Store, text: str) -> Json | None:
    """Return the active promotion code for an entered text, ignoring case."""
    matches = _active_codes(store, text)
    return matches[0] if matches else None


def _active_codes(store: Store, text: str) -> list[Json]:
    active = store.find("promotion_code", {"active": True}, limit=1000)
    return [code for code in active if code["code"].lower() == text.lower()]


def _change(store: Store, code: Json, changes: Json) -> Json:
    previous = {name: code[name] for name in changes if code[name] != changes[name]}
    changed = store.put(code | changes)
    if previous:
        event.emit(store, "promotion_code.updated", changed, previous)
    return changed
