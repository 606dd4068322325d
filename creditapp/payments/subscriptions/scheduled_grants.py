"""Scheduled grants: months of credits, scheduled when an invoice is paid and granted when due.

Postings, except ``sweep_due_grants``, which owns its transactions. They run under the lock of the
subscription or of the scheduled grant's own row; repeating one posts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from creditapp import clock, ledger
from creditapp.db import snapshot, transaction, update_if
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.payments.subscriptions.proration import MonthlyCredits, Period
from creditapp.payments.sweeps import run_each

SWEEP_MAX = 200
DELAYED_AFTER: Final = timedelta(days=1)
"""A month granted this long after it was due was delayed by a dispute or a late payment."""

log = structlog.get_logger(__name__)


def schedule(
    session: Session, invoice: Invoice, months: Sequence[MonthlyCredits], *, now: datetime
) -> None:
    """Insert the months of a paid invoice; the first one is due at once.

    Months that a later invoice grants are inserted as superseded: the invoice is a renewal that was
    paid after the upgrade that followed it.
    """
    later_invoices = session.execute(
        select(Invoice.id, Invoice.supersedes_from)
        .where(
            Invoice.subscription_id == invoice.subscription_id,
            Invoice.supersedes_from.is_not(None),
            Invoice.created_at > invoice.created_at,
        )
        .order_by(Invoice.created_at)
    ).all()
    for number, month in enumerate(months):
        successor_id = next(
            (row.id for row in later_invoices if row.supersedes_from < month.starts_at), None
        )
        scheduled = ScheduledGrant(
            invoice_id=invoice.id,
            number=number,
            subscription_id=invoice.subscription_id,
            user_id=invoice.user_id,
            credits_micro=month.credits_micro,
            starts_at=month.starts_at,
            ends_at=month.ends_at,
            due_at=_due_at(month, now),
            expires_at=month.expires_at,
            state="superseded" if successor_id else "due",
            superseded_by=successor_id,
        )
        session.add(scheduled)
    session.flush()


def scheduled_months(session: Session, subscription_id: str) -> list[Period]:
    """Return the bounds of the whole months that a subscription's invoices cover, each once."""
    query = (
        select(ScheduledGrant.starts_at, ScheduledGrant.ends_at)
        .where(ScheduledGrant.subscription_id == subscription_id)
        .distinct()
    )
    return [(starts_at, ends_at) for starts_at, ends_at in session.execute(query)]


def _due_at(month: MonthlyCredits, now: datetime) -> datetime:
    """Return when a month is due: when it begins; now, if only clocks differ."""
    if month.starts_at - now < DELAYED_AFTER:
        return min(now, month.starts_at)
    return month.starts_at


def supersede(session: Session, invoice: Invoice, supersedes_from: datetime) -> None:
    """Mark what earlier invoices would grant from a moment on: this invoice grants it instead."""
    invoice.supersedes_from = supersedes_from
    session.flush()
    earlier_invoices = select(Invoice.id).where(
        Invoice.subscription_id == invoice.subscription_id,
        Invoice.id != invoice.id,
        Invoice.created_at <= invoice.created_at,
    )
    session.execute(
        update(ScheduledGrant)
        .where(
            ScheduledGrant.invoice_id.in_(earlier_invoices),
            ScheduledGrant.state == "due",
            # A month that begins at this moment has begun: the invoice includes its difference.
            ScheduledGrant.starts_at > supersedes_from,
        )
        .values(state="superseded", superseded_by=invoice.id)
        .execution_options(synchronize_session=False)
    )


def grant_due(session: Session, invoice: Invoice, *, now: datetime) -> None:
    """Grant the months of an invoice that are due by now, unless its payment is disputed."""
    if invoice.disputed:
        return
    query = (
        select(ScheduledGrant)
        .where(
            ScheduledGrant.invoice_id == invoice.id,
            ScheduledGrant.state == "due",
            ScheduledGrant.due_at <= now,
        )
        .order_by(ScheduledGrant.number)
    )
    for scheduled in session.scalars(query).all():
        _grant(session, scheduled, invoice, now=now)


def sweep_due_grants() -> None:
    """Grant every month that is due, one transaction per invoice."""
    now = clock.now()
    query = (
        select(ScheduledGrant.invoice_id)
        .join(Invoice, Invoice.id == ScheduledGrant.invoice_id)
        .where(
            ScheduledGrant.state == "due", ScheduledGrant.due_at <= now, Invoice.disputed.is_(False)
        )
        .distinct()
        .limit(SWEEP_MAX)
    )
    with snapshot() as session:
        invoice_ids = session.scalars(query).all()
    run_each(invoice_ids, partial(_grant_due_of, now=now), "months not granted")


def _grant_due_of(invoice_id: str, *, now: datetime) -> None:
    with transaction() as session:
        invoice = session.get(Invoice, invoice_id)
        if invoice is not None:
            grant_due(session, invoice, now=now)


def _grant(session: Session, scheduled: ScheduledGrant, invoice: Invoice, *, now: datetime) -> None:
    reversed_micro = scheduled.reversed_micro
    amount_micro = scheduled.credits_micro - reversed_micro
    values: dict[str, Any] = {"state": "canceled"}
    if amount_micro:
        values = {
            "state": "granted",
            "credits_micro": amount_micro,
            "reversed_micro": 0,
            "prorated_micro": 0,
        }
    prorated_micro = scheduled.prorated_micro
    is_due = ScheduledGrant.state == "due"
    is_unchanged = ScheduledGrant.reversed_micro == reversed_micro
    if not update_if(session, scheduled, is_due, is_unchanged, **values):
        return  # another worker granted it, or a refund reversed part of it meanwhile
    if not amount_micro:
        return
    if reversed_micro:
        _split_off_reversed(session, scheduled, reversed_micro, prorated_micro)
    if now - max(scheduled.due_at, invoice.created_at) > DELAYED_AFTER:
        # A dispute or a late payment delayed it: its credits stay valid for at least one month.
        month = scheduled.ends_at - scheduled.starts_at
        scheduled.expires_at = max(scheduled.expires_at, now + month)
    connection = session.connection()
    grant = ledger.grant(
        connection,
        ledger.ensure_wallet(connection, "user", scheduled.user_id, now=now),
        ledger.NewGrant(
            amount_micro=amount_micro,
            source="subscription",
            origin=f"invoice:{scheduled.invoice_id}:{scheduled.number}",
            expires_at=scheduled.expires_at,
            paid_minor=invoice.paid_minor if scheduled.number == 0 else None,
            currency=invoice.currency.upper() if scheduled.number == 0 else None,
            livemode=invoice.livemode,
            actor=scheduled.user_id,
            note=invoice.title,
        ),
        now=now,
    )
    if grant is None:
        raise RuntimeError(
            f"{scheduled.invoice_id}:{scheduled.number} has a grant that its row does not name"
        )
    scheduled.grant_id = grant.id
    session.flush()


def _split_off_reversed(
    session: Session, scheduled: ScheduledGrant, reversed_micro: int, prorated_micro: int
) -> None:
    """Store the reversed part of a month as a row of its own: a failed refund still grants it."""
    last_number = select(func.max(ScheduledGrant.number)).where(
        ScheduledGrant.invoice_id == scheduled.invoice_id
    )
    session.add(
        ScheduledGrant(
            invoice_id=scheduled.invoice_id,
            number=(session.scalar(last_number) or 0) + 1,
            subscription_id=scheduled.subscription_id,
            user_id=scheduled.user_id,
            credits_micro=reversed_micro,
            reversed_micro=reversed_micro,
            prorated_micro=prorated_micro,
            starts_at=scheduled.starts_at,
            ends_at=scheduled.ends_at,
            due_at=scheduled.due_at,
            expires_at=scheduled.expires_at,
            state="canceled",
        )
    )
