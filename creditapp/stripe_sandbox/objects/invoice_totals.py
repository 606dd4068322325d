"""Totals of an invoice: its lines, less a discount, plus tax."""

from __future__ import annotations

from itertools import chain

from creditapp.stripe_sandbox import totals
from creditapp.stripe_sandbox.objects import discount as discounts
from creditapp.stripe_sandbox.store import Json, Store


def compute(store: Store, subscription: Json, lines: list[Json]) -> Json:
    """Return an invoice's lines and totals, without the customer's balance."""
    subtotal = sum(line["amount"] for line in lines)
    itemized = _itemized(lines)
    lines, discounts_applied = _discounted(store, subscription, lines)
    net = [line["amount"] - _discount_of(line) for line in lines]
    tax = totals.tax_on(sum(net)) if subscription["automatic_tax"]["enabled"] else 0
    if subscription["automatic_tax"]["enabled"]:
        shares = totals.allocate(tax, net)
        lines = [
            line | {"taxes": [_tax(share, amount)]}
            for line, share, amount in zip(lines, shares, net, strict=True)
        ]
    return {
        "lines": lines,
        "automatic_tax": _automatic(subscription),
        "discounts": [discount["discount"] for discount in discounts_applied],
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": sum(net) + tax,
        "total_discount_amounts": _added(discounts_applied, itemized),
        "total_excluding_tax": sum(net),
        "total_taxes": [_tax(tax, sum(net))] if tax else [],
    }


def paid_for(line: Json) -> int:
    """Return the amount of a line after its discount, before tax."""
    return int(line["amount"]) - _discount_of(line)


def _discounted(
    store: Store, subscription: Json, lines: list[Json]
) -> tuple[list[Json], list[Json]]:
    period_start = subscription["items"]["data"][0]["current_period_start"]
    applied = discounts.of_subscription(store, subscription, period_start)
    discountable = [line["amount"] if line["discountable"] else 0 for line in lines]
    if applied is None or not sum(discountable):
        return lines, []
    discount, coupon = applied
    off = totals.discount_of(coupon, sum(discountable))
    shares = totals.allocate(off, discountable)
    discount_id = discount["id"]
    discounted = [
        line
        | {
            "discount_amounts": [{"amount": share, "discount": discount_id}],
            "discounts": [discount_id],
        }
        if share
        else line
        for line, share in zip(lines, shares, strict=True)
    ]
    return discounted, [{"amount": off, "discount": discount_id}]


def _itemized(lines: list[Json]) -> list[Json]:
    """Return the discounts that prorations itemize; they were applied before."""
    return [
        discount for line in lines for discount in line["discount_amounts"] if discount["amount"]
    ]


def _added(*groups: list[Json]) -> list[Json]:
    """Return the total amount of each discount."""
    amounts: dict[str, int] = {}
    for discount in chain(*groups):
        amounts[discount["discount"]] = amounts.get(discount["discount"], 0) + discount["amount"]
    return [{"amount": amount, "discount": discount} for discount, amount in amounts.items()]


def _discount_of(line: Json) -> int:
    return sum(discount["amount"] for discount in line["discount_amounts"])


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
