"""The months of plans: written down when an invoice is paid, granted when each is due.

Everything here works under the lock of the subscription's or of its own row, inside the caller's
transaction; saying the same twice posts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.clock import now
from creditapp.db import changed, snapshot, transaction
from creditapp.payments.cycles import Month
from creditapp.payments.plan_models import Invoice, ScheduledGrant

SWEEP_MAX = 200

log = structlog.get_logger(__name__)


def write(session: Session, invoice: Invoice, months: Sequence[Month]) -> None:
    """Write down what a paid invoice gives; the first month is due at once."""
    moment = now()
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
            # It is paid: whose clock is ahead must not keep the buyer waiting.
            due_at=min(moment, month.starts_at) if number == 0 else month.starts_at,
            expires_at=month.expires_at,
            state="due",
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


def supersede(session: Session, invoice: Invoice, since: datetime) -> None:
    """Give up what earlier invoices would have given from a moment on: a later one gives it."""
    session.execute(
        update(ScheduledGrant)
        .where(
            ScheduledGrant.subscription_id == invoice.subscription_id,
            ScheduledGrant.invoice_id != invoice.id,
            ScheduledGrant.state == "due",
            ScheduledGrant.starts_at >= since,
        )
        .values(state="canceled")
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


def take_back(session: Session, invoice: Invoice, target_micro: int, *, reason: str) -> None:
    """Bring what is taken back of an invoice's credits to a total.

    Months that are not due yet go first, the last of them before the others, then granted ones. A
    smaller total than before gives back: a refund failed, or a dispute was won.
    """
    query = (
        select(ScheduledGrant)
        .where(ScheduledGrant.invoice_id == invoice.id)
        .order_by(ScheduledGrant.number.desc())
        .with_for_update()
    )
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    left = target_micro
    for row in sorted(rows, key=lambda each: each.state == "granted"):
        superseded = row.state == "canceled" and row.taken_micro == 0
        taken = 0 if superseded else min(left, row.credits_micro)
        left -= taken
        if taken == row.taken_micro:
            continue
        if row.state == "granted":
            _revoke(session, row, taken, reason)
        elif row.state == "canceled":
            row.state = "due"
        row.taken_micro = taken
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


def _grant(session: Session, row: ScheduledGrant, invoice: Invoice) -> None:
    moment, connection = now(), session.connection()
    amount = row.credits_micro - row.taken_micro
    state = "granted" if amount else "canceled"
    claimed = session.execute(
        update(ScheduledGrant)
        .where(
            ScheduledGrant.id == row.id,
            ScheduledGrant.state == "due",
            ScheduledGrant.taken_micro == row.taken_micro,
        )
        .values(state=state)
        .execution_options(synchronize_session=False)
    )
    if changed(claimed) == 0:
        return  # another worker granted it, or a refund came between
    row.state = state
    # A month whose end has passed before it could be granted gives nothing that could be spent.
    if not amount or row.expires_at <= moment:
        return
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


def _revoke(session: Session, row: ScheduledGrant, taken_micro: int, reason: str) -> None:
    if row.grant_id is None:
        return
    connection = session.connection()
    # What was taken before it was granted never came into the wallet.
    never_given = row.credits_micro - ledger.grant_by_id(connection, row.grant_id).amount_micro
    total = max(0, taken_micro - never_given)
    ledger.revoke(connection, row.grant_id, total, now=now(), reason=reason)
