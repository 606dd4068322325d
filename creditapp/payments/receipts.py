"""What a paid purchase cost, as its receipt says it: page, PDF and mail alike."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.errors import NotFound
from creditapp.payments.models import Purchase

PATH = "/receipts/{}"
"""Where the owner opens the receipt of a purchase."""


@dataclass(frozen=True)
class Amounts:
    """From the price to what was paid, in the currency's minor units, and what went back."""

    price_minor: int
    discount_minor: int
    tax_minor: int
    total_minor: int
    refunded_minor: int


def find(session: Session, purchase_id: str, owner: User) -> Purchase:
    """Return the owner's paid purchase; ``NotFound`` for a stranger's and for one never paid."""
    purchase = session.get(Purchase, purchase_id)
    if purchase is None or purchase.user_id != owner.id or purchase.paid_at is None:
        raise NotFound("There is no such receipt here.")
    return purchase


def amounts(purchase: Purchase) -> Amounts:
    """Return what a purchase cost; one paid before totals were kept cost its price."""
    return Amounts(
        price_minor=purchase.price_minor,
        discount_minor=purchase.discount_minor or 0,
        tax_minor=purchase.tax_minor or 0,
        total_minor=(
            purchase.price_minor if purchase.total_minor is None else purchase.total_minor
        ),
        refunded_minor=purchase.refunded_minor,
    )
