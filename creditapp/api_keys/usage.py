"""Spending of API keys, within the periods of their budgets and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from creditapp.api_keys.budgets import bounds
from creditapp.api_keys.models import ApiKey
from creditapp.ledger.models import Charge


def spent_micro(session: Session, keys: Sequence[ApiKey], *, now: datetime) -> Mapping[str, int]:
    """Return what each key's charges took or hold within the present period of its budget.

    One query for all of them; a key without a budget, or with one for its life, counts all. A hold
    whose time is over counts nothing, before the sweep that returns its credits too.
    """
    if not keys:
        return {}
    begins = {key.id: bounds(key.budget_period, now=now)[0] for key in keys}
    by_moment: dict[datetime, list[str]] = {}
    for key_id, since in begins.items():
        by_moment.setdefault(since, []).append(key_id)
    counts = [
        (and_(Charge.api_key_id.in_(ids), Charge.created_at >= since), Charge.captured_micro)
        for since, ids in by_moment.items()
    ]
    query = (
        select(Charge.api_key_id, func.sum(case(*counts, else_=0)))
        .where(Charge.api_key_id.in_(begins), Charge.created_at >= min(by_moment))
        .where(or_(Charge.state != "open", Charge.expires_at.is_(None), Charge.expires_at > now))
        .group_by(Charge.api_key_id)
    )
    return {key_id: int(spent) for key_id, spent in session.execute(query) if key_id is not None}
