"""Monthly limit of an automatic top-up: what this month has charged, and whether more may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.purchases.models import Purchase


@dataclass(frozen=True)
class MonthlyUsage:
    """The calendar month in UTC so far, in minor units of the agreed currency."""

    at: datetime
    """The moment for which it was read."""
    charged_minor: int
    """Paid or pending purchases."""
    open_minor: int
    """Checkouts that the member has open and may still pay; automatic purchases have none."""

    def allows_charge(self, row: AutoTopup) -> bool:
        """Whether another purchase stays within the limit even if all open checkouts are paid."""
        return self.charged_minor + self.open_minor + row.price_minor <= row.limit_minor

    def is_exhausted(self, row: AutoTopup) -> bool:
        """Whether no purchase fits into this month any more, open checkouts aside."""
        return self.charged_minor + row.price_minor > row.limit_minor


def monthly_usage(session: Session, row: AutoTopup, *, now: datetime) -> MonthlyUsage:
    """Return what counts against the limit in the present month, in one query.

    Plans and their invoices never count: they are a contract of their own.
    """
    since = start_of_month(now)
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
    charged_minor = open_minor = 0
    for automatic, state, amount_minor in session.execute(query):
        if automatic or (row.counts_manual and state != "open"):
            charged_minor += int(amount_minor)
        elif row.counts_manual:
            open_minor += int(amount_minor)
    return MonthlyUsage(now, charged_minor, open_minor)


def start_of_month(moment: datetime) -> datetime:
    """Return the first moment of a month in UTC."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def start_of_next_month(moment: datetime) -> datetime:
    """Return the first moment of the next month, when the limit starts over."""
    return start_of_month(start_of_month(moment) + timedelta(days=32))
