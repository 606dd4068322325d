"""What a paid purchase cost, as its receipt says it: page, PDF and mail alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.errors import NotFound
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions.models import Invoice
from creditapp.services import get

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


@dataclass(frozen=True)
class Receipt:
    """Something that was paid: a pack, or one invoice of a plan."""

    number: str
    paid_at: datetime
    item: str
    credits_micro: int
    """What it gives in all: of a year paid at once, over all its months."""
    currency: str
    amounts: Amounts
    sandbox: bool


def find(session: Session, target_id: str, owner: User) -> Receipt:
    """Return the receipt of the owner's own payment; ``NotFound`` for any other.

    ``target_id`` is a purchase of a pack or an invoice. A stranger's, one that was never paid, and
    the purchase of a plan, whose invoices are paid, are all the same: not found.
    """
    purchase = session.get(Purchase, target_id)
    if purchase is not None and purchase.paid_at is not None and purchase.cycle is None:
        owner_id = purchase.user_id
        receipt = Receipt(
            purchase.id,
            purchase.paid_at,
            f"{purchase.pack_name} pack",
            purchase.credits_micro,
            purchase.currency.upper(),
            amounts(purchase),
            purchase.sandbox,
        )
    else:
        invoice = session.get(Invoice, target_id)
        if invoice is None or invoice.paid_at is None:
            raise NotFound("There is no such receipt here.")
        owner_id, receipt = invoice.user_id, _of_invoice(invoice)
    if owner_id != owner.id:
        raise NotFound("There is no such receipt here.")
    return receipt


def _of_invoice(invoice: Invoice) -> Receipt:
    discount = max(0, invoice.subtotal_minor + invoice.tax_minor - invoice.total_minor)
    return Receipt(
        invoice.number or invoice.id,
        invoice.paid_at or invoice.created_at,
        invoice.title,
        invoice.credits_micro,
        invoice.currency.upper(),
        Amounts(
            price_minor=invoice.subtotal_minor,
            discount_minor=discount,
            tax_minor=invoice.tax_minor,
            total_minor=invoice.paid_minor,
            refunded_minor=invoice.refunded_minor,
        ),
        not invoice.livemode and get(Settings).sandbox,
    )


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
