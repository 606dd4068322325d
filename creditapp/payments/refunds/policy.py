"""Refund policy: what a user would get back today, the unspent share of each recent payment.

Reads only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.config import Settings
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.receipts import Receipt
from creditapp.payments.subscriptions import receipts as plan_receipts
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.services import get
from creditapp.units import round_down_minor


@dataclass(frozen=True)
class RefundablePayment:
    """A payment, its unspent credits, and the amount that could be refunded today."""

    receipt: Receipt
    until: datetime
    credits_micro: int
    """The credits that the payment's own money paid for."""
    unspent_micro: int

    @property
    def refundable_minor(self) -> int:
        """The unspent share of what was paid, rounded down, at most what is not refunded yet."""
        if not self.credits_micro:
            return 0
        amounts = self.receipt.amounts
        share_minor = amounts.total_minor * self.unspent_micro // self.credits_micro
        refundable_minor = min(share_minor, amounts.total_minor - amounts.refunded_minor)
        return round_down_minor(refundable_minor, self.receipt.currency)


def list_refundable(session: Session, user_id: str, *, now: datetime) -> list[RefundablePayment]:
    """Return the payments that can still be refunded to a user, the newest first; in 5 queries."""
    days = timedelta(days=get(Settings).refund_days)
    connection = session.connection()
    wallet_id = ledger.find_wallet(connection, "user", user_id)
    if wallet_id is None or not days:
        return []
    unspent_by_grant = {
        grant.id: 0 if grant.frozen_at else grant.remaining_micro
        for grant in ledger.list_grants(connection, wallet_id)
    }
    since = now - days
    purchases = session.scalars(
        select(Purchase).where(
            Purchase.user_id == user_id, Purchase.grant_id.is_not(None), Purchase.paid_at >= since
        )
    )
    payments = [
        RefundablePayment(
            receipt,
            receipt.paid_at + days,
            purchase.credits_micro,
            unspent_by_grant.get(purchase.grant_id or 0, 0),
        )
        for purchase in purchases
        for receipt in [receipts.of_purchase(purchase)]
    ]
    payments += _refundable_invoices(session, user_id, since, unspent_by_grant, days)
    return sorted(payments, key=lambda payment: payment.receipt.paid_at, reverse=True)


def _refundable_invoices(
    session: Session,
    user_id: str,
    since: datetime,
    unspent_by_grant: dict[int, int],
    days: timedelta,
) -> list[RefundablePayment]:
    invoices = session.scalars(
        select(Invoice).where(
            Invoice.user_id == user_id, Invoice.paid_at >= since, Invoice.paid_minor > 0
        )
    ).all()
    invoice_ids = [invoice.id for invoice in invoices]
    months = session.scalars(
        select(ScheduledGrant).where(
            or_(
                ScheduledGrant.invoice_id.in_(invoice_ids),
                ScheduledGrant.superseded_by.in_(invoice_ids),
            )
        )
    ).all()
    unspent: Counter[str] = Counter()
    not_own: Counter[str] = Counter()
    for month in months:
        not_own[month.invoice_id] += month.prorated_micro
        due_micro = month.credits_micro - month.reversed_micro
        if month.state == "superseded":
            # The older invoice paid for it; the later invoice grants it.
            successor = month.superseded_by or ""
            not_own[successor] += month.credits_micro
            unspent[month.invoice_id] += due_micro
            unspent[successor] -= due_micro
        elif month.state == "due":
            unspent[month.invoice_id] += due_micro
        else:
            unspent[month.invoice_id] += unspent_by_grant.get(month.grant_id or 0, 0)
    payments = []
    for invoice in invoices:
        receipt = plan_receipts.of_invoice(invoice)
        own_micro = max(0, invoice.credits_micro - not_own[invoice.id])
        unspent_micro = min(own_micro, max(0, unspent[invoice.id]))
        payments.append(
            RefundablePayment(receipt, receipt.paid_at + days, own_micro, unspent_micro)
        )
    return payments
