"""Receipts of a plan's invoices, and the one look-up of every receipt."""

from __future__ import annotations

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.config import Settings
from creditapp.errors import NotFound
from creditapp.payments.purchases.receipts import Amounts, Receipt, find_pack_receipt
from creditapp.payments.subscriptions.models import Invoice
from creditapp.services import get


def find_receipt(session: Session, target_id: str, owner: User) -> Receipt:
    """Return the owner's receipt of a pack's purchase or of an invoice.

    Raises ``NotFound`` alike for anyone else's payment, for one that was never paid and for the
    purchase of a plan, whose invoices are paid instead.
    """
    receipt = find_pack_receipt(session, target_id, owner)
    if receipt is not None:
        return receipt
    invoice = session.get(Invoice, target_id)
    if invoice is None or invoice.paid_at is None or invoice.user_id != owner.id:
        raise NotFound("There is no such receipt here.")
    discount_minor = max(0, invoice.subtotal_minor + invoice.tax_minor - invoice.total_minor)
    return Receipt(
        invoice.number or invoice.id,
        invoice.paid_at,
        invoice.title,
        invoice.credits_micro,
        invoice.currency.upper(),
        Amounts(
            price_minor=invoice.subtotal_minor,
            discount_minor=discount_minor,
            tax_minor=invoice.tax_minor,
            total_minor=invoice.paid_minor,
            refunded_minor=invoice.refunded_minor,
        ),
        not invoice.livemode and get(Settings).sandbox,
    )
