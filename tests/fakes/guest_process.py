"""One process of a crowd of guests: claims from many threads, on an engine of its own."""

from __future__ import annotations

import time
from datetime import datetime
from multiprocessing.synchronize import Barrier

from creditapp import guests, sqlite
from creditapp.db import transaction
from creditapp.guests import GuestBudgetReached, GuestLimitReached, Visitor
from tests.databases import at_once, connect

_together: list[Barrier] = []


def wait_for_all(barrier: Barrier) -> None:
    """Begin a process of the crowd; all of them begin each round together."""
    _together.append(barrier)
    sqlite.BUSY_SECONDS_MAX = (
        150.0  # a slow machine's crowd writes one after the other for a minute
    )
    barrier.wait(200)


def claim_many(url: str, visitors: list[Visitor], now: datetime, daily_budget: int) -> list[str]:
    """Let every visitor claim once at the same moment; return ``claimed`` or the refusal's code."""
    engine = connect(url, connections_max=8)  # four processes; a server has a hundred for all

    def claim(number: int) -> str:
        try:
            with transaction(engine) as session:
                guests.claim(
                    session,
                    visitors[number],
                    now,
                    limit=3,
                    window_hours=24,
                    daily_budget=daily_budget,
                )
                time.sleep(0.002)  # the caller writes its own rows before it commits
        except (GuestLimitReached, GuestBudgetReached) as refusal:
            # A cause is an error of the database: a refusal too, but not the one that is counted.
            return repr(refusal.__cause__) if refusal.__cause__ else refusal.code
        return "claimed"

    _together[0].wait(200)
    outcomes = [
        repr(each) if isinstance(each, Exception) else each
        for each in at_once(len(visitors), claim)
    ]
    engine.dispose()
    return outcomes
