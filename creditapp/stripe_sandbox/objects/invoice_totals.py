"""An invoice's sums: what its lines come to, less a discount, and the tax on top."""

from __future__ import annotations

from creditapp.stripe_sandbox import totals
from creditapp.stripe_sandbox.objects import discount as discounts
from creditapp.stripe_sandbox.store import Books, Json


def reckoned(books: Books, subscription: Json, lines: list[Json]) -> Json:
    """Return an invoice's lines and sums, without the customer's balance."""
    subtotal = sum(line["amount"] for line in lines)
    lines, off = _discounted(books, subscription, lines)
    net = [line["amount"] - _off(line) for line in lines]
    tax = totals.tax_on(sum(net)) if subscription["automatic_tax"]["enabled"] else 0
    if subscription["automatic_tax"]["enabled"]:
        shares = totals.shared(tax, net)
        lines = [
            line | {"taxes": [_tax(share, amount)]}
            for line, share, amount in zip(lines, shares, net, strict=True)
        ]
    held = [each["discount"] for each in off]
    return {
        "lines": lines,
        "automatic_tax": _automatic(subscription),
        "discounts": held,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": sum(net) + tax,
        "total_discount_amounts": off,
        "total_excluding_tax": sum(net),
        "total_taxes": [_tax(tax, sum(net))] if tax else [],
    }


def paid_for(line: Json) -> int:
    """Return what a line asks for after its discount, before tax."""
    return int(line["amount"]) - _off(line)


def _discounted(
    books: Books, subscription: Json, lines: list[Json]
) -> tuple[list[Json], list[Json]]:
    begun = subscription["items"]["data"][0]["current_period_start"]
    held = discounts.of_subscription(books, subscription, begun)
    fit = [line["amount"] if line["discountable"] else 0 for line in lines]
    if held is None or not sum(fit):
        return lines, []
    discount, coupon = held
    off = totals.discount_of(coupon, sum(fit))
    shares = totals.shared(off, fit)
    named = discount["id"]
    shown = [
        line | {"discount_amounts": [{"amount": share, "discount": named}], "discounts": [named]}
        if share
        else line
        for line, share in zip(lines, shares, strict=True)
    ]
    return shown, [{"amount": off, "discount": named}]


def _off(line: Json) -> int:
    return sum(each["amount"] for each in line["discount_amounts"])


def _tax(amount: int, taxable: int) -> Json:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": totals.TAX_RATE},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def _automatic(subscription: Json) -> Json:
    on = subscription["automatic_tax"]["enabled"]
    return {
        "disabled_reason": None,
        "enabled": on,
        "liability": {"type": "self"} if on else None,
        "provider": "stripe" if on else None,
        "status": "complete" if on else None,
    }
