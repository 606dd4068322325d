"""What a code takes off and what tax puts on top, for checkouts and invoices alike.

Both are reckoned on the whole and then shared out over the lines, so that a checkout and its
first invoice always agree.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from creditapp.stripe_sandbox.store import Json

TAX_PERCENT = 8
"""The sandbox's one tax, everywhere and on everything."""

TAX_RATE = "txr_1SandboxTaxOfEightPercent"


def discount_of(coupon: Json, amount: int) -> int:
    """Return what a coupon takes off an amount."""
    if coupon["amount_off"] is not None:
        return min(int(coupon["amount_off"]), amount)
    return _part(amount, Decimal(str(coupon["percent_off"])))


def tax_on(amount: int) -> int:
    """Return the tax on top of an amount; what is given back has its tax given back."""
    return _part(amount, Decimal(TAX_PERCENT))


def shared(total: int, amounts: list[int]) -> list[int]:
    """Share a total out over amounts in their proportion; the largest takes what is left."""
    whole = sum(amounts)
    shares = [total * amount // whole if whole else 0 for amount in amounts]
    if shares:
        largest = max(range(len(amounts)), key=lambda number: abs(amounts[number]))
        shares[largest] += total - sum(shares)
    return shares


def _part(amount: int, percent: Decimal) -> int:
    return int((amount * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))
