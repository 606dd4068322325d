"""Events: what happened, with the object as it was then; each is also put into the post."""

from __future__ import annotations

import json
import time

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Books, Json, public

API_VERSION = "2026-10-28.endive"
"""The version whose shapes the sandbox speaks; the shop pins the same one."""

MODES = ("send", "hold", "drop")
"""What becomes of new deliveries: sent, kept until someone lets them go, or never sent."""

_STATES = {"send": "waiting", "hold": "held", "drop": "dropped"}


def tell(books: Books, kind: str, thing: Json, previous: Json | None = None) -> Json:
    """Store the event ``kind`` about a thing and queue its delivery, in the same transaction."""
    data: Json = {"object": json.loads(json.dumps(public(thing)))}
    if previous is not None:
        data["previous_attributes"] = previous
    event = books.put(
        {
            "id": new_id("evt_1"),
            "object": "event",
            "api_version": API_VERSION,
            "created": books.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": books.request_id, "idempotency_key": books.idempotency_key},
            "type": kind,
        }
    )
    post(books, event["id"], reason="first", state=_STATES[mode(books)])
    return event


def post(
    books: Books,
    event_id: str,
    *,
    reason: str,
    state: str = "waiting",
    delay_seconds: float = 0.0,
) -> None:
    """Queue one delivery of an event; ``reason`` is ``first``, ``again`` or ``late``."""
    books.connection.execute(
        "INSERT INTO deliveries (event_id, reason, state, due_at) VALUES (?, ?, ?, ?)",
        (event_id, reason, state, time.time() + delay_seconds),
    )
    books.wrote_delivery = True


def mode(books: Books) -> str:
    """Return what becomes of new deliveries now."""
    return books.setting("webhooks", "send")


def set_mode(books: Books, wanted: str) -> None:
    """Choose what becomes of new deliveries; going back to ``send`` lets held ones go."""
    if wanted not in MODES:
        raise ValueError(f"webhooks are one of {MODES}")
    books.set_setting("webhooks", wanted)
    if wanted == "send":
        deliver_now(books)


def deliver_now(books: Books) -> int:
    """Make everything that is held or waiting due at once; return how many."""
    books.wrote_delivery = True
    return books.connection.execute(
        "UPDATE deliveries SET state = 'waiting', due_at = ? WHERE state IN ('held', 'waiting')",
        (time.time(),),
    ).rowcount
