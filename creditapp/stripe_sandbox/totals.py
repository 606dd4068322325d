"""Discounts and taxes of checkouts and invoices.

Both are computed on the total and then allocated to the lines, so that a checkout and its first
invoice always agree.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from creditapp.stripe_sandbox.store import Json

TAX_PERCENT = 8
"""The only tax rate of the sandbox, applied to everything."""

TAX_RATE = "txr_1SandboxTaxOfEightPercent"


def discount_of(coupon: Json, amount: int) -> int:
    """Return the discount of a coupon on an amount."""
    if coupon["amount_off"] is not None:
        return min(int(coupon["amount_off"]), amount)
    return _percentage(amount, Decimal(str(coupon["percent_off"])))


def tax_on(amount: int) -> int:
    """Return the tax on an amount; a negative amount (a credit) has negative tax."""
    return _percentage(amount, Decimal(TAX_PERCENT))


def allocate(total: int, amounts: list[int]) -> list[int]:
    """Allocate a total in proportion to amounts; the largest share takes the remainder."""
    amounts_total = sum(amounts)
    shares = [total * amount // amounts_total if amounts_total else 0 for amount in amounts]
    if shares:
        largest = max(range(len(amounts)), key=lambda number: abs(amounts[number]))
        shares[largest] += total - sum(shares)
    return shares


def _percentage(amount: int, percent: Decimal) -> int:
    return int((amount * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))
