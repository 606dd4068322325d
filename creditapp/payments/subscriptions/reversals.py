"""What went back of a plan's money, taken of its months: refunds, disputes, time given back.

An invoice's credits go back in proportion to its money: first those of months that are not due.
Where an upgrade took over the months of a year, the old money still pays for the part of them that
it bought: what goes back of it is taken of the months that the upgrade gives, and what goes back of
the upgrade is taken of its own surplus only. Every total is reckoned anew from what Stripe says
now, so that saying the same twice, or a refund that fails, posts what is right.
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
from creditapp.clock import now
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant


@dataclass
class _Back:
    """What goes back of one invoice's credits."""

    firm: int = 0
    """Refunded, or lost in a dispute: granted months are revoked for it."""
    withheld: int = 0
    """Contested: months that are not granted yet wait for the outcome."""


def settle(session: Session, subscription_id: str, reasons: Mapping[str, str]) -> dict[str, int]:
    """Bring what is taken of a subscription's months to what went back of their money.

    ``reasons`` says ``refund`` or ``dispute`` by invoice, for the ledger's history. Works under the
    subscription's lock. A smaller total than before gives back: a refund failed. Returns what each
    invoice's own money pays for, in microcredits.
    """
    invoices = {
        invoice.id: invoice
        for invoice in session.scalars(
            select(Invoice).where(
                Invoice.subscription_id == subscription_id, Invoice.paid_at.is_not(None)
            )
        )
    }
    months = session.scalars(
        select(ScheduledGrant)
        .where(ScheduledGrant.subscription_id == subscription_id)
        .order_by(ScheduledGrant.number.desc())
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    of_invoice: defaultdict[str, list[ScheduledGrant]] = defaultdict(list)
    moved_in: defaultdict[str, int] = defaultdict(int)
    takes_over: dict[str, set[str]] = {invoice_id: set() for invoice_id in invoices}
    for month in months:
        of_invoice[month.invoice_id].append(month)
        if month.superseded_by in takes_over:
            moved_in[month.superseded_by] += month.credits_micro
            takes_over[month.superseded_by].add(month.invoice_id)
    carried: defaultdict[str, _Back] = defaultdict(_Back)
    paid_for: dict[str, int] = {}
    # Those whose months are taken over come before those that take them over.
    for invoice_id in TopologicalSorter(takes_over).static_order():
        invoice, rows = invoices[invoice_id], of_invoice[invoice_id]
        returned = sum(row.returned_micro for row in rows)
        own = max(0, invoice.credits_micro - moved_in[invoice.id] - returned)
        paid_for[invoice.id] = own
        back = carried[invoice.id]
        if invoice.paid_minor:
            back.firm += own * invoice.refunded_minor // invoice.paid_minor
        _take(session, rows, back, reasons.get(invoice.id, "refund"))
        _carry(invoice, rows, back.firm, carried)
    session.flush()
    return paid_for


def return_time(session: Session, invoice: Invoice, at: datetime, micro: int) -> None:
    """Note that ``invoice`` gave back the time of a month under way, worth ``micro`` credits.

    They are taken of what the newest of the earlier invoices gave for it; ``settle`` does that.
    """
    rows = session.scalars(
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
    for row in rows:
        part = min(micro, row.credits_micro - row.returned_micro)
        row.returned_micro += part
        micro -= part
    session.flush()


def set_frozen(session: Session, invoice: Invoice, *, frozen: bool) -> None:
    """Make what was granted of an invoice unspendable, or spendable again."""
    query = select(ScheduledGrant.grant_id).where(
        ScheduledGrant.invoice_id == invoice.id, ScheduledGrant.grant_id.is_not(None)
    )
    act = ledger.freeze if frozen else ledger.unfreeze
    for grant_id in session.scalars(query).all():
        if grant_id is not None:
            act(session.connection(), grant_id, now=now())


def _take(session: Session, rows: Sequence[ScheduledGrant], back: _Back, reason: str) -> None:
    """Spread what goes back over an invoice's months, the last of them before the others."""
    firm, withheld = back.firm, back.withheld
    for row in sorted(rows, key=lambda each: each.state == "granted"):
        room = row.credits_micro - row.returned_micro
        taken = min(firm, room)
        firm -= taken
        if row.state != "granted":
            waits = min(withheld, room - taken)
            withheld -= waits
            taken += waits
        taken += row.returned_micro
        if taken == row.taken_micro:
            continue
        if row.state == "granted":
            _revoke(session, row, taken, reason)
        elif row.state == "canceled":
            row.state = "due"
        row.taken_micro = taken


def _carry(
    invoice: Invoice,
    rows: Iterable[ScheduledGrant],
    firm: int,
    carried: Mapping[str, _Back],
) -> None:
    """Let what went back of months that a later invoice gives be taken there."""
    for row in rows:
        if row.superseded_by is None:
            continue
        there = carried[row.superseded_by]
        firm_here = min(firm, row.taken_micro)
        firm -= firm_here
        there.firm += firm_here
        there.withheld += (row.credits_micro if invoice.disputed else row.taken_micro) - firm_here


def _revoke(session: Session, row: ScheduledGrant, taken_micro: int, reason: str) -> None:
    if row.grant_id is None:
        return
    connection = session.connection()
    # What was taken before it was granted never came into the wallet.
    never_given = row.credits_micro - ledger.grant_by_id(connection, row.grant_id).amount_micro
    total = max(0, taken_micro - never_given)
    ledger.revoke(connection, row.grant_id, total, now=now(), reason=reason)
