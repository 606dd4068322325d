"""Promotion codes: the words with which buyers claim a coupon."""

from __future__ import annotations

import secrets
import string
from typing import Any

from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import coupon as coupons
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects.customer import merged
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, given: dict[str, Any]) -> Json:
    """Store and return a promotion code, and tell of it."""
    named = given["promotion"].get("coupon")
    coupon = books.get("coupon", named or "")
    if coupon is None:
        raise missing_object("coupon", named or "", param="promotion[coupon]")
    code = given.get("code") or "".join(
        secrets.choice(string.ascii_uppercase + string.digits) for _ in range(8)
    )
    if _named(books, code):
        raise Refused(f"An active promotion code with `code: {code}` already exists.", param="code")
    made = books.put(
        {
            "id": new_id("promo_1"),
            "object": "promotion_code",
            "active": given.get("active", True),
            "code": code,
            "created": books.now,
            "customer": None,
            "customer_account": None,
            "expires_at": given.get("expires_at"),
            "livemode": False,
            "max_redemptions": given.get("max_redemptions"),
            "metadata": given.get("metadata", {}),
            "promotion": {"coupon": coupon["id"], "type": "coupon"},
            "restrictions": {
                "first_time_transaction": False,
                "minimum_amount": None,
                "minimum_amount_currency": None,
            },
            "times_redeemed": 0,
        }
    )
    event.tell(books, "promotion_code.created", made)
    return made


def update(books: Books, code: Json, given: dict[str, Any]) -> Json:
    """Switch a code on or off, or change its metadata."""
    changes: Json = {}
    if "active" in given:
        changes["active"] = given["active"]
    if "metadata" in given:
        changes["metadata"] = merged(code["metadata"], given["metadata"])
    return _change(books, code, changes)


def redeem(books: Books, code: Json) -> None:
    """Count one use of a code and of its coupon."""
    times = code["times_redeemed"] + 1
    used_up = code["max_redemptions"] is not None and times >= code["max_redemptions"]
    _change(books, code, {"times_redeemed": times, "active": code["active"] and not used_up})
    coupon = books.get("coupon", code["promotion"]["coupon"])
    if coupon is not None:
        coupons.redeem(books, coupon)


def good_coupon(books: Books, code: Json | None) -> Json | None:
    """Return the coupon of a code that may be used now, or None."""
    if code is None or not code["active"]:
        return None
    if code["expires_at"] is not None and code["expires_at"] <= books.now:
        return None
    coupon = books.get("coupon", code["promotion"]["coupon"])
    return coupon if coupon and coupons.is_good(books, coupon) else None


def by_word(books: Books, word: str) -> Json | None:
    """Return the active code that a buyer wrote, in small or large letters."""
    found = _named(books, word)
    return found[0] if found else None


def _named(books: Books, word: str) -> list[Json]:
    active = books.find("promotion_code", {"active": True}, limit=1000)
    return [code for code in active if code["code"].lower() == word.lower()]


def _change(books: Books, code: Json, changes: Json) -> Json:
    previous = {name: code[name] for name in changes if code[name] != changes[name]}
    changed = books.put(code | changes)
    if previous:
        event.tell(books, "promotion_code.updated", changed, previous)
    return changed
