"""What somebody would get back today: the unspent share of what was paid not long ago."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions.models import Invoice, ScheduledGrant
from creditapp.services import get


@dataclass(frozen=True)
class Refundable:
    """One payment, what of its credits is unspent, and the money that this is worth."""

    id: str
    title: str
    paid_minor: int
    refunded_minor: int
    currency: str
    paid_at: datetime
    until: datetime
    credits_micro: int
    unspent_micro: int
    back_minor: int
    """What would go back today, rounded down to the minor unit."""


def refundable(session: Session, user_id: str) -> list[Refundable]:
    """Return what can still be refunded to somebody, the newest first; in five queries."""
    days = get(Settings).refund_days
    since = now() - timedelta(days=days)
    connection = session.connection()
    wallet_id = ledger.find_wallet(connection, "user", user_id)
    if wallet_id is None or days == 0:
        return []
    unspent = {
        grant.id: 0 if grant.frozen_at else grant.remaining_micro
        for grant in ledger.list_grants(connection, wallet_id)
    }
    purchases = session.scalars(
        select(Purchase).where(
            Purchase.user_id == user_id,
            Purchase.grant_id.is_not(None),
            Purchase.paid_at >= since,
        )
    )
    found = [
        _of(
            each.id,
            f"{each.pack_name} pack",
            receipts.amounts(each).total_minor,
            each.refunded_minor,
            each.currency,
            each.paid_at or each.created_at,
            each.credits_micro,
            unspent.get(each.grant_id or 0, 0),
            days,
        )
        for each in purchases
    ]
    found += _of_invoices(session, user_id, since, unspent, days)
    return sorted(found, key=lambda each: each.paid_at, reverse=True)


def _of_invoices(
    session: Session, user_id: str, since: datetime, unspent: dict[int, int], days: int
) -> list[Refundable]:
    invoices = session.scalars(
        select(Invoice).where(
            Invoice.user_id == user_id, Invoice.paid_at >= since, Invoice.paid_minor > 0
        )
    ).all()
    ids = [each.id for each in invoices]
    months = session.scalars(
        select(ScheduledGrant).where(
            or_(ScheduledGrant.invoice_id.in_(ids), ScheduledGrant.superseded_by.in_(ids))
        )
    ).all()
    left: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    for month in months:
        returned[month.invoice_id] += month.returned_micro
        waits = month.credits_micro - month.taken_micro
        if month.state == "superseded":
            # The older money pays for it, in the months of the later invoice.
            moved[month.superseded_by or ""] += month.credits_micro
            left[month.invoice_id] += waits
            left[month.superseded_by or ""] -= waits
        else:
            here = unspent.get(month.grant_id or 0, 0)
            left[month.invoice_id] += waits if month.state == "due" else here
    found = []
    for each in invoices:
        own = max(0, each.credits_micro - moved[each.id] - returned[each.id])
        found.append(
            _of(
                each.id,
                each.title,
                each.paid_minor,
                each.refunded_minor,
                each.currency.upper(),
                each.paid_at or each.created_at,
                own,
                min(own, max(0, left[each.id])),
                days,
            )
        )
    return found


def _of(
    target_id: str,
    title: str,
    paid_minor: int,
    refunded_minor: int,
    currency: str,
    paid_at: datetime,
    credits_micro: int,
    unspent_micro: int,
    days: int,
) -> Refundable:
    share = paid_minor * unspent_micro // credits_micro if credits_micro else 0
    return Refundable(
        target_id,
        title,
        paid_minor,
        refunded_minor,
        currency,
        paid_at,
        paid_at + timedelta(days=days),
        credits_micro,
        unspent_micro,
        min(share, paid_minor - refunded_minor),
    )
