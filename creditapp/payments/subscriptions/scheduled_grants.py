"""The months of plans: written down when an invoice is paid, granted when each is due.

Everything here works under the lock of the subscription's or of its own row, inside the caller's
transaction; saying the same twice posts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.clock import now
from creditapp.db import changed, snapshot, transaction
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.payments.subscriptions.proration import Month

SWEEP_MAX = 200
LATE: Final = timedelta(days=1)
"""A month that is granted this much after it was due, or paid, was kept back by something."""

log = structlog.get_logger(__name__)


def write(session: Session, invoice: Invoice, months: Sequence[Month]) -> None:
    """Write down what a paid invoice gives; the first month is due at once.

    What a later invoice gives instead is superseded from the beginning: a renewal that was paid
    after the upgrade that followed it.
    """
    moment = now()
    later = session.execute(
        select(Invoice.id, Invoice.supersedes_from)
        .where(
            Invoice.subscription_id == invoice.subscription_id,
            Invoice.supersedes_from.is_not(None),
            Invoice.created_at > invoice.created_at,
        )
        .order_by(Invoice.created_at)
    ).all()

    def successor(month: Month) -> str | None:
        return next((each for each, since in later if since and since < month.starts_at), None)

    session.add_all(
        ScheduledGrant(
            invoice_id=invoice.id,
            number=number,
            subscription_id=invoice.subscription_id,
            user_id=invoice.user_id,
            credits_micro=month.credits_micro,
            taken_micro=0,
            starts_at=month.starts_at,
            ends_at=month.ends_at,
            due_at=_due_at(month, moment),
            expires_at=month.expires_at,
            state="due" if successor(month) is None else "superseded",
            superseded_by=successor(month),
        )
        for number, month in enumerate(months)
    )
    session.flush()


def bounds(session: Session, subscription_id: str) -> list[tuple[datetime, datetime]]:
    """Return the whole months that a subscription's invoices stand for, one by one."""
    query = (
        select(ScheduledGrant.starts_at, ScheduledGrant.ends_at)
        .where(ScheduledGrant.subscription_id == subscription_id)
        .distinct()
    )
    return [(starts_at, ends_at) for starts_at, ends_at in session.execute(query)]


def _due_at(month: Month, moment: datetime) -> datetime:
    """Return when a month is granted: when it begins, and at once where only clocks differ."""
    return min(moment, month.starts_at) if month.starts_at - moment < LATE else month.starts_at


def supersede(session: Session, invoice: Invoice, since: datetime) -> None:
    """Give up what earlier invoices would have given from a moment on: this one gives it."""
    invoice.supersedes_from = since
    session.flush()
    earlier = select(Invoice.id).where(
        Invoice.subscription_id == invoice.subscription_id,
        Invoice.id != invoice.id,
        Invoice.created_at <= invoice.created_at,
    )
    session.execute(
        update(ScheduledGrant)
        .where(
            ScheduledGrant.invoice_id.in_(earlier),
            ScheduledGrant.state == "due",
            # A month that begins with it is under way: the invoice gives the difference for it.
            ScheduledGrant.starts_at > since,
        )
        .values(state="superseded", superseded_by=invoice.id)
        .execution_options(synchronize_session=False)
    )


def grant_due(session: Session, invoice: Invoice) -> None:
    """Grant the months of an invoice that are due by now, unless its payment is disputed."""
    if invoice.disputed:
        return
    query = (
        select(ScheduledGrant)
        .where(
            ScheduledGrant.invoice_id == invoice.id,
            ScheduledGrant.state == "due",
            ScheduledGrant.due_at <= now(),
        )
        .order_by(ScheduledGrant.number)
    )
    for row in session.scalars(query).all():
        _grant(session, row, invoice)


def sweep() -> None:
    """Grant every month that is due, each in a transaction of its own."""
    query = (
        select(ScheduledGrant.invoice_id)
        .join(Invoice, Invoice.id == ScheduledGrant.invoice_id)
        .where(
            ScheduledGrant.state == "due",
            ScheduledGrant.due_at <= now(),
            Invoice.disputed.is_(False),
        )
        .distinct()
        .limit(SWEEP_MAX)
    )
    with snapshot() as session:
        due = session.scalars(query).all()
    for invoice_id in due:
        with transaction() as session:
            invoice = session.get(Invoice, invoice_id)
            if invoice is not None:
                grant_due(session, invoice)


def _grant(session: Session, row: ScheduledGrant, invoice: Invoice) -> None:
    moment, connection = now(), session.connection()
    amount, taken = row.credits_micro - row.taken_micro, row.taken_micro
    values: dict[str, Any] = {"state": "canceled"}
    if amount:
        values = {"state": "granted", "credits_micro": amount, "taken_micro": 0}
        values["returned_micro"] = 0
    claimed = session.execute(
        update(ScheduledGrant)
        .where(
            ScheduledGrant.id == row.id,
            ScheduledGrant.state == "due",
            ScheduledGrant.taken_micro == taken,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if changed(claimed) == 0:
        return  # another worker granted it, or a refund came between
    if not amount:
        row.state = "canceled"
        return
    if taken:
        _set_apart(session, row, taken)
    for name, value in values.items():
        setattr(row, name, value)
    if moment - max(row.due_at, invoice.created_at) > LATE:
        # It was withheld, or paid late: what was paid for can be spent for a month at least.
        row.expires_at = max(row.expires_at, moment + (row.ends_at - row.starts_at))
    wallet_id = ledger.ensure_wallet(connection, "user", row.user_id, now=moment)
    grant = ledger.grant(
        connection,
        wallet_id,
        amount,
        source="subscription",
        origin=f"invoice:{row.invoice_id}:{row.number}",
        now=moment,
        expires_at=row.expires_at,
        paid_minor=invoice.paid_minor if row.number == 0 else None,
        currency=invoice.currency.upper() if row.number == 0 else None,
        livemode=invoice.livemode,
        actor=row.user_id,
        note=invoice.title,
    )
    if grant is None:
        raise RuntimeError(f"{row.invoice_id}:{row.number} was granted without a note of it")
    row.grant_id = grant.id
    session.flush()


def _set_apart(session: Session, row: ScheduledGrant, taken: int) -> None:
    """Keep what was taken of a month as a row of its own: a refund that fails gives it yet."""
    last = select(func.max(ScheduledGrant.number)).where(
        ScheduledGrant.invoice_id == row.invoice_id
    )
    session.add(
        ScheduledGrant(
            invoice_id=row.invoice_id,
            number=(session.scalar(last) or 0) + 1,
            subscription_id=row.subscription_id,
            user_id=row.user_id,
            credits_micro=taken,
            taken_micro=taken,
            returned_micro=row.returned_micro,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            due_at=row.due_at,
            expires_at=row.expires_at,
            state="canceled",
        )
    )
