"""Amounts as people read them, in the unit that the catalog chose."""

from __future__ import annotations

from creditapp.catalog.catalog import Catalog
from creditapp.units import MICRO_PER_CREDIT, credits_text, dollars_text


def figure(catalog: Catalog, micro: int) -> str:
    """Return an amount without its unit's word: ``0.5``, or ``$0.50`` in dollars."""
    return dollars_text(micro) if catalog.unit == "dollars" else credits_text(micro)


def amount(catalog: Catalog, micro: int) -> str:
    """Return an amount with its unit: ``1 credit``, ``0.5 credits``, ``$0.50``."""
    if catalog.unit == "dollars":
        return dollars_text(micro)
    return f"{credits_text(micro)} {'credit' if abs(micro) == MICRO_PER_CREDIT else 'credits'}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 image``, ``1,300 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
