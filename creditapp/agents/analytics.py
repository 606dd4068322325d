"""Sales to agents by rail: payments, money, and what became of the credits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, case, cast, func, select
from sqlalchemy.orm import Session

from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.refund import UNSENT
from creditapp.ledger.models import Grant
from creditapp.payments.subscriptions.models import Refund


@dataclass(frozen=True)
class RailSales:
    """The payments of one rail in one currency; ``used_micro`` counts what is being made too."""

    rail: str
    currency: str
    livemode: bool
    payments: int
    paid_minor: int
    refunded_minor: int
    unsent_minor: int
    """Refunds that were promised and whose money is not sent yet."""
    bought_micro: int
    used_micro: int
    moved_micro: int
    """Moved into accounts."""
    left_micro: int


def sales_by_rail(session: Session, *, since: datetime) -> list[RailSales]:
    """Return the sales since a moment, one row a rail, currency and mode; one query."""
    sent, unsent = Refund.state == "done", Refund.state.in_(UNSENT)
    refunds = (
        select(
            Refund.target_id,
            func.sum(case((sent, Refund.amount_minor), else_=0)).label("sent_minor"),
            func.sum(case((unsent, Refund.amount_minor), else_=0)).label("unsent_minor"),
        )
        .group_by(Refund.target_id)
        .subquery()
    )
    used = Grant.amount_micro - (
        Grant.remaining_micro + Grant.expired_micro + Grant.revoked_micro + Grant.transferred_micro
    )
    amounts = (
        Settlement.paid_minor,
        func.coalesce(refunds.c.sent_minor, 0),
        func.coalesce(refunds.c.unsent_minor, 0),
        Grant.amount_micro,
        used,
        Grant.transferred_micro,
        Grant.remaining_micro,
    )
    group = Settlement.rail, PaymentRequest.currency, Settlement.livemode
    query = (
        select(*group, func.count(), *(cast(func.sum(each), BigInteger) for each in amounts))
        .join(PaymentRequest, PaymentRequest.id == Settlement.payment_request_id)
        .join(Grant, Grant.id == Settlement.grant_id)
        .join(refunds, refunds.c.target_id == PaymentRequest.id, isouter=True)
        .where(Settlement.created_at >= since)
        .group_by(*group)
        .order_by(*group)
    )
    rows: list[list[Any]] = [list(row) for row in session.execute(query)]
    return [RailSales(*row) for row in rows]
