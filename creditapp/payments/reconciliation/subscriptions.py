"""Reconciliation of subscriptions: paid invoices at Stripe against the scheduled grants.

A service: it reads Stripe's list with no transaction open and repairs differences by a sync.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from creditapp import units
from creditapp.db import snapshot
from creditapp.errors import Conflict, NotFound
from creditapp.payments.reconciliation.report import Difference, is_given_back, posted_text
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError, InvoiceState, Reversals
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.payments.subscriptions.sync import sync_subscription
from creditapp.services import get

BATCH: Final = 500
_NOT_POSTED: Final = "nothing scheduled"


def reconcile_invoices(
    since: datetime, reversed_payments: Collection[str]
) -> tuple[int, list[Difference]]:
    """Return how many invoices were paid since a moment, and every difference.

    ``reversed_payments`` are payment intents refunded or disputed since. Raises ``GatewayError`` if
    Stripe's list cannot be read.
    """
    states = get(StripeGateway).list_invoices_since(since)
    paid = {state.id: state for state in states if state.paid}
    with snapshot() as session:
        invoices = {invoice.id: invoice for invoice in select_in(session, Invoice.id, paid)}
        reversed_here = select_in(session, Invoice.payment_intent_id, reversed_payments)
        posted_ids = session.scalars(
            select(Invoice.id).where(Invoice.paid_at.is_not(None), Invoice.created_at >= since)
        ).all()
    differences: list[Difference] = []
    for state in paid.values():
        invoice = invoices.get(state.id)
        if invoice is None or invoice.paid_at is None or invoice.paid_minor != state.paid_minor:
            differences += _sync_invoice(state.subscription_id or "", state.id, state)
    for invoice in reversed_here:
        differences += _sync_invoice(invoice.subscription_id, invoice.id, paid.get(invoice.id))
    differences += [
        Difference("granted_not_paid", invoice_id, "not paid", _invoice_text(invoice_id))
        for invoice_id in posted_ids
        if invoice_id not in paid
    ]
    return len(paid), differences


def _sync_invoice(
    subscription_id: str, invoice_id: str, state: InvoiceState | None
) -> list[Difference]:
    """Sync one subscription; return what that repaired, and what it could not repair."""
    before = _invoice_text(invoice_id)
    try:
        sync_subscription(subscription_id, invoice_id=invoice_id)
    except NotFound:
        return []  # a subscription of another shop on the same account
    except (GatewayError, Conflict) as error:
        return [Difference("unanswered", invoice_id, type(error).__name__, before)]
    with snapshot() as session:
        invoice = session.get(Invoice, invoice_id)
    if invoice is None or invoice.paid_at is None:
        if invoice is not None and _is_given_back(invoice):
            return []
        paid = f"paid {state.paid_minor} {state.currency}" if state else "paid"
        reason = (invoice.review_reason if invoice else None) or _NOT_POSTED
        return [Difference("paid_not_granted", invoice_id, paid, reason)]
    after = _invoice_text(invoice_id)
    if before == after:
        return []
    kind = "paid_not_granted" if before == _NOT_POSTED else "refund"
    return [Difference(kind, invoice_id, f"now {after}", f"was {before}", repaired=True)]


def _is_given_back(invoice: Invoice) -> bool:
    """Return whether nothing of an invoice that granted nothing is left to refund."""
    reversals = Reversals()
    if invoice.payment_intent_id is not None:
        reversals = get(StripeGateway).reversals_of(invoice.payment_intent_id)
    return is_given_back(reversals, invoice.paid_minor)


def _invoice_text(invoice_id: str) -> str:
    """Describe what is posted of an invoice; equal texts mean that nothing changed."""
    with snapshot() as session:
        invoice = session.get(Invoice, invoice_id)
        reversed_micro = session.scalar(
            select(func.sum(ScheduledGrant.reversed_micro)).where(
                ScheduledGrant.invoice_id == invoice_id
            )
        )
    if invoice is None or invoice.paid_at is None:
        return _NOT_POSTED
    return posted_text(
        f"gives {units.credits_text(invoice.credits_micro)}",
        int(reversed_micro or 0),
        frozen=invoice.disputed,
    )


def select_in(session: Session, column: Any, values: Iterable[str]) -> list[Any]:
    """Return the rows of the column's model that have one of the values, in batches."""
    ordered, rows = sorted(values), list[Any]()
    for first in range(0, len(ordered), BATCH):
        batch = ordered[first : first + BATCH]
        rows += session.scalars(select(column.class_).where(column.in_(batch)))
    return rows
