"""Cancel a generation."""

from __future__ import annotations

from datetime import datetime

from creditapp.accounts.throttle import count_try, counter
from creditapp.config import Settings
from creditapp.db import transaction, update_if
from creditapp.errors import Conflict
from creditapp.generation import funding, queries
from creditapp.generation.funding import Caller
from creditapp.generation.models import Generation
from creditapp.rate_limits import CANCELED_ORDERS
from creditapp.services import get


def cancel(generation_id: str, by: Caller, *, now: datetime) -> None:
    """Cancel a queued generation at once; ask the worker of a running one to stop.

    Assets that a running one has delivered by then are kept and paid for; the rest is released. A
    queued one has delivered none.
    Owns its transaction. Raises ``Conflict`` when it has already ended, and ``RateLimited`` for
    someone who cancels many: then it goes on.
    """
    secret = get(Settings).derived_key("orders")
    limit = counter("cancel", CANCELED_ORDERS, secret, *by.owner)
    with transaction() as session:
        generation = queries.find(session, generation_id, by).generation
        if not generation.finished:
            detail = "You canceled many orders, so this one goes on."
            count_try(session, [limit], now=now, detail=detail)
        is_queued, is_running = Generation.state == "queued", Generation.state == "running"
        ended = {"state": "canceled", "finished_at": now, "encrypted_key": None}
        if update_if(session, generation, is_queued, **ended):
            funding.release(session, generation, now)
        elif not update_if(session, generation, is_running, cancel_requested_at=now):
            raise Conflict("It has already ended.")
