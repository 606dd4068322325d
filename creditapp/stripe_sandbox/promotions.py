"""Promotion codes on the checkout page: apply, remove and redeem."""

from __future__ import annotations

from creditapp.stripe_sandbox import currencies
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.objects import promotion_code as codes
from creditapp.stripe_sandbox.objects.checkout_totals import with_totals
from creditapp.stripe_sandbox.store import Json, Store


def apply(store: Store, session: Json, entered: str) -> Json:
    """Put a code on an open checkout, or remove it if the text is empty; return the checkout."""
    if session["status"] != "open" or not session["allow_promotion_codes"]:
        raise StripeAPIError("This checkout takes no codes.")
    if not entered:
        return store.put(with_totals(session | {"discounts": []}, None))
    code = codes.by_code(store, entered)
    coupon = codes.redeemable_coupon(store, code)
    if code is None or coupon is None:
        raise StripeAPIError("This code is not valid.")
    if coupon["currency"] not in (None, session["currency"]):
        raise StripeAPIError("This code is for another currency.")
    discounts = [{"coupon": None, "promotion_code": code["id"]}]
    discounted = with_totals(session | {"discounts": discounts}, coupon)
    if 0 < discounted["amount_total"] < currencies.minimum(session["currency"]):
        raise StripeAPIError("With this code the total is too small to be paid.")
    return store.put(discounted)


def code_of(store: Store, session: Json) -> Json | None:
    """Return the promotion code on a checkout, or None."""
    if not session["discounts"]:
        return None
    return store.get("promotion_code", session["discounts"][0]["promotion_code"])


def drop_invalid_code(store: Store, session: Json) -> Json:
    """Return a checkout without its code if the code can no longer be redeemed."""
    if not session["discounts"] or codes.redeemable_coupon(store, code_of(store, session)):
        return session
    problem = {"message": "The code is not valid any more, so the total has changed."}
    return store.put(with_totals(session | {"discounts": [], "_problem": problem}, None))


def redeem(store: Store, session: Json) -> None:
    """Count one use of a checkout's code, if it has one."""
    code = code_of(store, session)
    if code is not None:
        codes.redeem(store, code)
