"""Totals of a checkout: its line items, less a coupon, plus tax."""

from __future__ import annotations

from creditapp.stripe_sandbox import totals
from creditapp.stripe_sandbox.store import Json


def with_totals(session: Json, coupon: Json | None) -> Json:
    """Return a checkout session with the totals of its line items, discount and tax."""
    items = session["_line_items"]
    subtotals = [item["amount_subtotal"] for item in items]
    discount = totals.discount_of(coupon, sum(subtotals)) if coupon else 0
    discounts = totals.allocate(discount, subtotals)
    net = [subtotal - off for subtotal, off in zip(subtotals, discounts, strict=True)]
    tax = totals.tax_on(sum(net)) if session["automatic_tax"]["enabled"] else 0
    taxes = totals.allocate(tax, net)
    line_items = [
        item | {"amount_discount": off, "amount_tax": item_tax, "amount_total": amount + item_tax}
        for item, off, amount, item_tax in zip(items, discounts, net, taxes, strict=True)
    ]
    total = sum(net) + tax
    return session | {
        "amount_subtotal": sum(subtotals),
        "amount_total": total,
        "payment_status": "unpaid" if total else "no_payment_required",
        "total_details": {"amount_discount": discount, "amount_shipping": 0, "amount_tax": tax},
        "_line_items": line_items,
    }
