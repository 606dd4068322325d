"""Events: a snapshot of a changed object, queued for delivery as a webhook."""

from __future__ import annotations

import json
import time

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Json, Store, public

API_VERSION = "2026-10-28.endive"
"""API version of the sandbox; the shop pins the same one."""

MODES = ("send", "hold", "drop")
"""Modes of new deliveries: sent, held until released, or never sent."""

_STATES = {"send": "waiting", "hold": "held", "drop": "dropped"}


def emit(store: Store, kind: str, resource: Json, previous: Json | None = None) -> Json:
    """Store an event of type ``kind`` about an object and queue its delivery."""
    data: Json = {"object": json.loads(json.dumps(public(resource)))}
    if previous is not None:
        data["previous_attributes"] = previous
    event = store.put(
        {
            "id": new_id("evt_1"),
            "object": "event",
            "api_version": API_VERSION,
            "created": store.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": store.request_id, "idempotency_key": store.idempotency_key},
            "type": kind,
        }
    )
    queue_delivery(store, event["id"], reason="first", state=_STATES[mode(store)])
    return event


def queue_delivery(
    store: Store, event_id: str, *, reason: str, state: str = "waiting", delay_seconds: float = 0.0
) -> None:
    """Queue one delivery of an event; ``reason`` is ``first``, ``again`` or ``late``."""
    store.connection.execute(
        "INSERT INTO deliveries (event_id, reason, state, due_at) VALUES (?, ?, ?, ?)",
        (event_id, reason, state, time.time() + delay_seconds),
    )
    store.has_queued_delivery = True


def mode(store: Store) -> str:
    """Return the mode of new deliveries."""
    return store.setting("webhooks", "send")


def set_mode(store: Store, new_mode: str) -> None:
    """Set the mode of new deliveries; ``send`` also releases held ones."""
    if new_mode not in MODES:
        raise ValueError(f"webhooks are one of {MODES}")
    store.set_setting("webhooks", new_mode)
    if new_mode == "send":
        deliver_now(store)


def deliver_now(store: Store) -> int:
    """Make all held and waiting deliveries due now; return their number."""
    store.has_queued_delivery = True
    return store.connection.execute(
        "UPDATE deliveries SET state = 'waiting', due_at = ? WHERE state IN ('held', 'waiting')",
        (time.time(),),
    ).rowcount
