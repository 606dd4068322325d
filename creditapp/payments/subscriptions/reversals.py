"""Reversals of plan credits: refunds, disputes and credited time, allocated to scheduled grants.

Postings: they work in the caller's transaction, under the subscription's lock. An invoice's credits
are reversed in proportion to its money, months that are not due first. After an upgrade that
superseded months of a year, the year's payment still pays for its own part of them: a refund of the
year reverses that part of the upgrade's months, and a refund of the upgrade reverses only what the
upgrade added. Every total is computed anew from Stripe's state, so that repeating a reversal, or a
refund that fails later, posts the right difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant, Subscription


@dataclass
class _Reversal:
    """The credits to reverse of one invoice."""

    final_micro: int = 0
    """Refunded, or lost in a dispute: granted months are revoked for it."""
    on_hold_micro: int = 0
    """Disputed: months that are not granted yet wait for the outcome."""


def apply_reversals(
    session: Session,
    subscription: Subscription,
    invoices: Mapping[str, Invoice],
    reasons: Mapping[str, str],
    *,
    now: datetime,
) -> dict[str, int]:
    """Set what is reversed of each scheduled grant to its share of the money that was reversed.

    ``invoices`` are the paid ones. ``reasons`` maps invoice ids to ``refund`` or ``dispute``, for
    the ledger's history. A smaller total than before grants credits again, because a refund failed.
    Returns the credits that each invoice's own money pays for, in microcredits.
    """
    scheduled_grants = session.scalars(
        select(ScheduledGrant)
        .where(ScheduledGrant.subscription_id == subscription.id)
        .order_by(ScheduledGrant.number.desc())
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    by_invoice: defaultdict[str, list[ScheduledGrant]] = defaultdict(list)
    inherited_micro: defaultdict[str, int] = defaultdict(int)
    predecessors: dict[str, set[str]] = {invoice_id: set() for invoice_id in invoices}
    for scheduled in scheduled_grants:
        by_invoice[scheduled.invoice_id].append(scheduled)
        if scheduled.superseded_by in predecessors:
            inherited_micro[scheduled.superseded_by] += scheduled.credits_micro
            predecessors[scheduled.superseded_by].add(scheduled.invoice_id)
    reversals: defaultdict[str, _Reversal] = defaultdict(_Reversal)
    own_micro_by_invoice: dict[str, int] = {}
    # Invoices whose months are superseded come before the invoices that supersede them.
    for invoice_id in TopologicalSorter(predecessors).static_order():
        invoice, months = invoices[invoice_id], by_invoice[invoice_id]
        prorated_micro = sum(month.prorated_micro for month in months)
        own_micro = max(0, invoice.credits_micro - inherited_micro[invoice.id] - prorated_micro)
        own_micro_by_invoice[invoice.id] = own_micro
        reversal = reversals[invoice.id]
        if invoice.paid_minor:
            reversal.final_micro += own_micro * invoice.refunded_minor // invoice.paid_minor
        _allocate(session, months, reversal, reasons.get(invoice.id, "refund"), now=now)
        _pass_to_successors(invoice, months, reversal.final_micro, reversals)
    session.flush()
    return own_micro_by_invoice


def reverse_unused_time(session: Session, invoice: Invoice, at: datetime, micro: int) -> None:
    """Record that ``invoice`` credited the unused time of the current month, worth ``micro``.

    It is reversed of the month's newest earlier invoices first, by ``apply_reversals``.
    """
    months = session.scalars(
        select(ScheduledGrant)
        .join(Invoice, Invoice.id == ScheduledGrant.invoice_id)
        .where(
            ScheduledGrant.subscription_id == invoice.subscription_id,
            ScheduledGrant.invoice_id != invoice.id,
            ScheduledGrant.starts_at <= at,
            ScheduledGrant.ends_at > at,
        )
        .order_by(Invoice.created_at.desc(), Invoice.id.desc())
        .with_for_update(of=ScheduledGrant)
    ).all()
    for month in months:
        part_micro = min(micro, month.credits_micro - month.prorated_micro)
        month.prorated_micro += part_micro
        micro -= part_micro
    session.flush()


def set_frozen(session: Session, invoice: Invoice, *, frozen: bool, now: datetime) -> None:
    """Freeze or unfreeze the granted credits of an invoice."""
    query = select(ScheduledGrant.grant_id).where(
        ScheduledGrant.invoice_id == invoice.id, ScheduledGrant.grant_id.is_not(None)
    )
    change = ledger.freeze if frozen else ledger.unfreeze
    for grant_id in session.scalars(query).all():
        if grant_id is not None:
            change(session.connection(), grant_id, now=now)


def _allocate(
    session: Session,
    months: Sequence[ScheduledGrant],
    reversal: _Reversal,
    reason: str,
    *,
    now: datetime,
) -> None:
    """Distribute a reversal over an invoice's months: not yet granted ones first, last to first."""
    final_micro, on_hold_micro = reversal.final_micro, reversal.on_hold_micro
    for month in sorted(months, key=lambda month: month.state == "granted"):
        reversible_micro = month.credits_micro - month.prorated_micro
        reversed_micro = min(final_micro, reversible_micro)
        final_micro -= reversed_micro
        if month.state != "granted":
            waiting_micro = min(on_hold_micro, reversible_micro - reversed_micro)
            on_hold_micro -= waiting_micro
            reversed_micro += waiting_micro
        reversed_micro += month.prorated_micro
        if reversed_micro == month.reversed_micro:
            continue
        if month.state == "granted":
            _revoke(session, month, reversed_micro, reason, now=now)
        elif month.state == "canceled":
            month.state = "due"
        month.reversed_micro = reversed_micro


def _pass_to_successors(
    invoice: Invoice,
    months: Iterable[ScheduledGrant],
    final_micro: int,
    reversals: Mapping[str, _Reversal],
) -> None:
    """Add what is reversed of superseded months to the invoices that grant them instead."""
    for month in months:
        if month.superseded_by is None:
            continue
        successor = reversals[month.superseded_by]
        month_final_micro = min(final_micro, month.reversed_micro)
        final_micro -= month_final_micro
        successor.final_micro += month_final_micro
        successor.on_hold_micro += (
            month.credits_micro if invoice.disputed else month.reversed_micro
        ) - month_final_micro


def _revoke(
    session: Session, month: ScheduledGrant, reversed_micro: int, reason: str, *, now: datetime
) -> None:
    if month.grant_id is None:
        return
    connection = session.connection()
    # What was reversed before the month was granted never entered the wallet.
    granted_micro = ledger.grant_by_id(connection, month.grant_id).amount_micro
    total_micro = max(0, reversed_micro - (month.credits_micro - granted_micro))
    ledger.revoke(connection, month.grant_id, total_micro, now=now, reason=reason)
