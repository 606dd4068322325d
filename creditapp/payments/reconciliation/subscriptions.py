"""The ledger against Stripe, for plans: the invoices that were paid beside the months they gave."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from creditapp import units
from creditapp.db import snapshot
from creditapp.errors import Conflict, NotFound
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import GatewayError, InvoiceState
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.services import get

_IDS_A_QUERY: Final = 500


@dataclass(frozen=True)
class Found:
    """One invoice on which Stripe and the ledger did not agree, and whether they do now."""

    kind: str
    invoice_id: str
    stripe: str
    ledger: str
    repaired: bool


def compare(since: datetime, reversed_payments: Collection[str]) -> tuple[int, list[Found]]:
    """Return how many invoices were paid since a moment, and every difference.

    ``reversed_payments`` are the payments of which something was refunded or disputed since. What a
    sync can repair is repaired. Raises ``GatewayError`` when Stripe's list cannot be read.
    """
    told = get(StripeGateway).list_invoices_since(since)
    paid = {each.id: each for each in told if each.paid}
    with snapshot() as session:
        rows = {each.id: each for each in _with(session, Invoice.id, paid)}
        reversals = _with(session, Invoice.payment_intent_id, reversed_payments)
        kept = session.scalars(
            select(Invoice).where(Invoice.paid_at.is_not(None), Invoice.created_at >= since)
        ).all()
    found: list[Found] = []
    for state in paid.values():
        row = rows.get(state.id)
        if row is None or row.paid_at is None or row.paid_minor != state.paid_minor:
            found += _settle(state.subscription_id or "", state.id, state)
    for row in reversals:
        found += _settle(row.subscription_id, row.id, paid.get(row.id))
    found += [
        Found("granted_not_paid", row.id, "not paid", _posted(row.id), False)
        for row in kept
        if row.id not in paid
    ]
    return len(paid), found


def _settle(subscription_id: str, invoice_id: str, state: InvoiceState | None) -> list[Found]:
    """Sync one subscription and say what that changed, and what it could not change."""
    before = _posted(invoice_id)
    try:
        subscription_sync.sync(subscription_id, invoice_id=invoice_id)
    except NotFound:
        return []  # another shop's plan on the same account
    except (GatewayError, Conflict) as error:
        return [Found("unanswered", invoice_id, type(error).__name__, before, False)]
    with snapshot() as session:
        row = session.get(Invoice, invoice_id)
    if row is None or row.paid_at is None:
        paid = f"paid {state.paid_minor} {state.currency}" if state else "paid"
        reason = (row.review_reason if row else None) or "not written down"
        return [Found("paid_not_granted", invoice_id, paid, reason, False)]
    after = _posted(invoice_id)
    if before == after:
        return []
    kind = "paid_not_granted" if before == _NOTHING else "refund"
    return [Found(kind, invoice_id, f"now {after}", f"was {before}", True)]


_NOTHING: Final = "nothing written down"


def _posted(invoice_id: str) -> str:
    """Say in words what stands here of an invoice: equal words mean that nothing moved."""
    with snapshot() as session:
        row = session.get(Invoice, invoice_id)
        taken = session.scalar(
            select(func.sum(ScheduledGrant.taken_micro)).where(
                ScheduledGrant.invoice_id == invoice_id
            )
        )
    if row is None or row.paid_at is None:
        return _NOTHING
    words = f"gives {units.credits_text(row.credits_micro)}"
    if taken:
        words += f", {units.credits_text(int(taken))} taken back"
    return words + (", frozen" if row.disputed else "")


def _with(session: Session, column: Any, values: Iterable[str]) -> list[Invoice]:
    """Return the invoices with one of the values, in few queries of bounded size."""
    wanted, found = sorted(values), list[Invoice]()
    for first in range(0, len(wanted), _IDS_A_QUERY):
        some = wanted[first : first + _IDS_A_QUERY]
        found += session.scalars(select(Invoice).where(column.in_(some)))
    return found
