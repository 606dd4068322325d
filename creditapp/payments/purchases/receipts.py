"""Receipts of paid purchases: the amounts that the page, the PDF and the emails show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.payments.purchases.models import Purchase

PATH = "/receipts/{}"
"""The path of a purchase's receipt."""


@dataclass(frozen=True)
class Amounts:
    """From the price to the total paid and the refunds, in the currency's minor units."""

    price_minor: int
    discount_minor: int
    tax_minor: int
    total_minor: int
    refunded_minor: int


@dataclass(frozen=True)
class Receipt:
    """One payment: for a pack, or for one invoice of a plan."""

    number: str
    paid_at: datetime
    item: str
    credits_micro: int
    """All credits that the payment gives: for a year, those of all its months."""
    currency: str
    amounts: Amounts
    sandbox: bool


def find_pack_receipt(session: Session, purchase_id: str, owner: User) -> Receipt | None:
    """Return the receipt of the owner's paid pack, or None; a plan's invoices have receipts."""
    purchase = session.get(Purchase, purchase_id)
    if purchase is None or purchase.paid_at is None or purchase.user_id != owner.id:
        return None
    if purchase.cycle is not None:
        return None
    return Receipt(
        purchase.id,
        purchase.paid_at,
        f"{purchase.pack_name} pack",
        purchase.credits_micro,
        purchase.currency.upper(),
        amounts(purchase),
        purchase.sandbox,
    )


def amounts(purchase: Purchase) -> Amounts:
    """Return the amounts of a purchase; one paid before totals were stored cost its price."""
    return Amounts(
        price_minor=purchase.price_minor,
        discount_minor=purchase.discount_minor or 0,
        tax_minor=purchase.tax_minor or 0,
        total_minor=(
            purchase.price_minor if purchase.total_minor is None else purchase.total_minor
        ),
        refunded_minor=purchase.refunded_minor,
    )
