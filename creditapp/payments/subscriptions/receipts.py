"""Receipts of a plan's invoices, and the one look-up of every receipt."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.errors import NotFound
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.receipts import Amounts, Receipt
from creditapp.payments.subscriptions.models import Invoice
from creditapp.services import get


def find_receipt(session: Session, target_id: str, owner: User) -> Receipt:
    """Return the owner's receipt of a pack's purchase or of an invoice.

    Raises ``NotFound`` alike for anyone else's payment, for one that was never paid and for the
    purchase of a plan, whose invoices are paid instead.
    """
    purchase = session.get(Purchase, target_id)
    payment = session.get(Invoice, target_id) if purchase is None else purchase
    if payment is None or payment.paid_at is None or payment.user_id != owner.id:
        raise NotFound("There is no such receipt here.")
    if isinstance(payment, Invoice):
        return of_invoice(payment)
    if payment.cycle is not None:
        raise NotFound("There is no such receipt here.")
    return receipts.of_purchase(payment)


def find_first_invoice(session: Session, purchase: Purchase) -> Invoice | None:
    """Return the paid invoice with which the subscription of a plan's purchase began."""
    return session.scalars(
        select(Invoice)
        .where(
            Invoice.subscription_id == purchase.subscription_id,
            Invoice.user_id == purchase.user_id,
            Invoice.paid_at.is_not(None),
            Invoice.paid_minor > 0,
        )
        .order_by(Invoice.paid_at)
        .limit(1)
    ).first()


def of_invoice(invoice: Invoice) -> Receipt:
    """Return the receipt of an invoice."""
    charged_minor = invoice.subtotal_minor + invoice.tax_minor
    return Receipt(
        invoice.id,
        invoice.number or invoice.id,
        invoice.paid_at or invoice.created_at,
        invoice.title,
        invoice.credits_micro,
        invoice.currency.upper(),
        Amounts(
            price_minor=invoice.subtotal_minor,
            discount_minor=max(0, charged_minor - invoice.total_minor),
            tax_minor=invoice.tax_minor,
            total_minor=invoice.paid_minor,
            refunded_minor=invoice.refunded_minor,
        ),
        not invoice.livemode and get(Settings).sandbox,
    )
