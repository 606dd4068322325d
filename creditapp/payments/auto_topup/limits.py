"""How much a member's automatic top-up has taken this month, and whether one more may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases.models import Purchase


@dataclass(frozen=True)
class Month:
    """The calendar month in UTC so far, in minor units of the agreed currency."""

    at: datetime
    """The moment that was asked about."""
    taken_minor: int
    """Paid, or under way."""
    perhaps_minor: int
    """Checkouts that the member has open and may still pay; of automatic purchases none."""

    def room_for(self, row: AutoTopup) -> bool:
        """Whether one more purchase stays within the limit, whatever becomes of the open ones."""
        return self.taken_minor + self.perhaps_minor + row.price_minor <= row.limit_minor

    def full_for(self, row: AutoTopup) -> bool:
        """Whether it is sure that this month has no room any more."""
        return self.taken_minor + row.price_minor > row.limit_minor


def month_of(session: Session, row: AutoTopup, moment: datetime) -> Month:
    """Return what counts against the limit in the month of ``moment``, in one query.

    A plan and its invoices never count: they are a contract of their own.
    """
    since = start_of_month(moment)
    unpaid = Purchase.state.in_(["open", "pending", "review"])
    query = (
        select(
            Purchase.automatic,
            Purchase.state,
            func.sum(func.coalesce(Purchase.total_minor, Purchase.price_minor)),
        )
        .where(
            Purchase.user_id == row.user_id,
            Purchase.livemode == row.livemode,
            Purchase.currency == row.currency,
            Purchase.cycle.is_(None),
            or_(
                Purchase.paid_at >= since,
                and_(Purchase.paid_at.is_(None), unpaid, Purchase.created_at >= since),
            ),
        )
        .group_by(Purchase.automatic, Purchase.state)
    )
    taken = perhaps = 0
    for automatic, state, amount_minor in session.execute(query):
        if automatic or (row.counts_manual and state != "open"):
            taken += int(amount_minor)
        elif row.counts_manual:
            perhaps += int(amount_minor)
    return Month(moment, taken, perhaps)


def start_of_month(moment: datetime) -> datetime:
    """Return the first moment of a month in UTC."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def start_of_next_month(moment: datetime) -> datetime:
    """Return the moment at which the limit begins anew."""
    first = start_of_month(moment)
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return first.replace(year=year, month=month)
