"""Codes on the checkout's page: entered, taken off again, and counted when it is paid."""

from __future__ import annotations

from creditapp.stripe_sandbox import totals
from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.objects import promotion_code as codes
from creditapp.stripe_sandbox.objects.checkout_rules import MINIMUM_MINOR
from creditapp.stripe_sandbox.store import Books, Json


def enter(books: Books, session: Json, word: str) -> Json:
    """Put a code on an open checkout; the empty word takes it off. Return the checkout."""
    if session["status"] != "open" or not session["allow_promotion_codes"]:
        raise Refused("This checkout takes no codes.")
    if not word:
        return books.put(reckoned(session | {"discounts": []}, None))
    code = codes.by_word(books, word)
    coupon = codes.good_coupon(books, code)
    if code is None or coupon is None:
        raise Refused("This code is not valid.")
    if coupon["currency"] not in (None, session["currency"]):
        raise Refused("This code is for another currency.")
    discounts = [{"coupon": None, "promotion_code": code["id"]}]
    changed = reckoned(session | {"discounts": discounts}, coupon)
    if 0 < changed["amount_total"] < MINIMUM_MINOR:
        raise Refused("With this code the total is too small to be paid.")
    return books.put(changed)


def reckoned(session: Json, coupon: Json | None) -> Json:
    """Return a checkout with its sums: the items, less a coupon, and the tax on top."""
    items = session["_line_items"]
    amounts = [item["amount_subtotal"] for item in items]
    off = totals.discount_of(coupon, sum(amounts)) if coupon else 0
    offs = totals.shared(off, amounts)
    net = [amount - less for amount, less in zip(amounts, offs, strict=True)]
    taxed = session["automatic_tax"]["enabled"]
    tax = totals.tax_on(sum(net)) if taxed else 0
    shown = [
        item | {"amount_discount": less, "amount_tax": more, "amount_total": amount + more}
        for item, less, amount, more in zip(items, offs, net, totals.shared(tax, net), strict=True)
    ]
    total = sum(net) + tax
    return session | {
        "amount_subtotal": sum(amounts),
        "amount_total": total,
        "payment_status": "unpaid" if total else "no_payment_required",
        "total_details": {"amount_discount": off, "amount_shipping": 0, "amount_tax": tax},
        "_line_items": shown,
    }


def code_of(books: Books, session: Json) -> Json | None:
    """Return the code on a checkout, or None."""
    if not session["discounts"]:
        return None
    return books.get("promotion_code", session["discounts"][0]["promotion_code"])


def without_a_dead_code(books: Books, session: Json) -> Json:
    """Return a checkout; its code is taken off if it has been used up meanwhile."""
    if not session["discounts"] or codes.good_coupon(books, code_of(books, session)):
        return session
    problem = {"message": "The code is not valid any more, so the total has changed."}
    return books.put(reckoned(session | {"discounts": [], "_problem": problem}, None))


def redeem(books: Books, session: Json) -> None:
    """Count the use of a checkout's code."""
    code = code_of(books, session)
    if code is not None:
        codes.redeem(books, code)
