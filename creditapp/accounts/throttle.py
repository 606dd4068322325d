"""Counting tries in the database, so that every process counts the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.orm import Session

from creditapp.accounts.hashing import keyed_hash
from creditapp.accounts.models import Throttle
from creditapp.accounts.networks import Networks
from creditapp.db import insert
from creditapp.errors import RateLimited
from creditapp.rate_limits import RateLimit

_WINDOW_LONGEST = timedelta(days=1)


@dataclass(frozen=True)
class Counter:
    """The counter of one rate limit for one subject."""

    rate: RateLimit
    key: str


def counter(name: str, rate: RateLimit, secret: str, *subject: str) -> Counter:
    """Return the counter of one subject: an address, a network, or both together."""
    return Counter(rate, f"{name}:{keyed_hash(secret, name, chr(0).join(subject))}")


def network_counters(
    name: str, rate: RateLimit, secret: str, networks: Networks
) -> tuple[Counter, ...]:
    """Return the counters of a limit by network, the smallest network first."""
    return tuple(
        counter(name, rate.times(network.multiple), secret, network.key) for network in networks
    )


def count_try(
    session: Session, counters: Sequence[Counter], *, now: datetime, detail: str = "Too many tries."
) -> None:
    """Count one try on every counter; raise ``RateLimited`` when any of them is at its limit.

    ``detail`` is the sentence before "Try again in 5 min."

    Each count is one guarded upsert, so that of many tries at the same moment no more than the
    limit pass. Callers name their counters in one fixed order, or two could deadlock. A refused
    try need not be counted, so that rolling back after ``RateLimited`` loses nothing.
    """
    for counter in counters:
        if not _count(session, counter, now):
            raise _limited(session, counter, now, detail)


def is_exhausted(session: Session, counters: Sequence[Counter], *, now: datetime) -> bool:
    """Return whether any counter is at its limit; counts nothing."""
    limits = {counter.key: counter.rate for counter in counters}
    query = select(Throttle.key, Throttle.tries, Throttle.window_started_at)
    counted = session.execute(query.where(Throttle.key.in_(limits))).all()
    return any(rate.limit < 1 for rate in limits.values()) or any(
        tries >= limits[key].limit and started_at > now - limits[key].window
        for key, tries, started_at in counted
    )


def reset_tries(session: Session, counters: Sequence[Counter]) -> None:
    """Set counters to 0."""
    for counter in counters:
        session.execute(delete(Throttle).where(Throttle.key == counter.key))


def uncount_try(session: Session, counters: Sequence[Counter]) -> None:
    """Subtract one try, which was no guess, from every counter."""
    for counter in counters:
        session.execute(
            update(Throttle)
            .where(Throttle.key == counter.key, Throttle.tries > 0)
            .values(tries=Throttle.tries - 1)
        )


def sweep_tries(session: Session, *, now: datetime) -> None:
    """Delete counters whose window is over; for a daily job."""
    session.execute(delete(Throttle).where(Throttle.window_started_at < now - _WINDOW_LONGEST))


def _count(session: Session, counter: Counter, now: datetime) -> bool:
    if counter.rate.limit < 1:
        return False  # the upsert compares only with a count that exists
    over = Throttle.window_started_at <= now - counter.rate.window
    statement = (
        insert(session, Throttle)
        .values(key=counter.key, window_started_at=now, tries=1)
        .on_conflict_do_update(
            index_elements=[Throttle.key],
            set_={
                "tries": case((over, 1), else_=Throttle.tries + 1),
                "window_started_at": case((over, now), else_=Throttle.window_started_at),
            },
            where=or_(over, Throttle.tries < counter.rate.limit),
        )
        .returning(Throttle.tries)
    )
    return session.execute(statement).first() is not None


def _limited(session: Session, counter: Counter, now: datetime, detail: str) -> RateLimited:
    started_at = session.execute(
        select(Throttle.window_started_at).where(Throttle.key == counter.key)
    ).scalar()
    ends_at = (started_at or now) + counter.rate.window
    seconds = (ends_at - now).total_seconds()
    minutes = max(1, math.ceil(seconds / 60))
    return RateLimited.after(
        seconds, f"{detail} Try again in {minutes} min.", limit=counter.rate.limit
    )
