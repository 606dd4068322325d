"""Receipts of payments: the amounts that the page, the PDF and the emails show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from creditapp.payments.purchases.models import Purchase

PATH = "/receipts/{}"
"""The path of a purchase's or an invoice's receipt."""


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

    id: str
    """The id of the purchase or of the invoice."""
    number: str
    paid_at: datetime
    item: str
    credits_micro: int
    """All credits that the payment gives: for a year, those of all its months."""
    currency: str
    amounts: Amounts
    sandbox: bool

    def email_context(self) -> dict[str, object]:
        """Return the fields that every email about the payment has."""
        return {
            "number": self.number,
            "path": PATH.format(self.id),
            "item": self.item,
            "currency": self.currency,
            "sandbox": self.sandbox,
        }


def of_purchase(purchase: Purchase) -> Receipt:
    """Return the receipt of a pack; one paid before totals were stored cost its price."""
    total_minor = purchase.price_minor if purchase.total_minor is None else purchase.total_minor
    return Receipt(
        purchase.id,
        purchase.id,
        purchase.paid_at or purchase.created_at,
        f"{purchase.pack_name} pack",
        purchase.credits_micro,
        purchase.currency.upper(),
        Amounts(
            price_minor=purchase.price_minor,
            discount_minor=purchase.discount_minor or 0,
            tax_minor=purchase.tax_minor or 0,
            total_minor=total_minor,
            refunded_minor=purchase.refunded_minor,
        ),
        purchase.sandbox,
    )
