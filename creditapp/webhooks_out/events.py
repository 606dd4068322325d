"""Events that an endpoint may choose, with a sentence for people, and their payload."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from creditapp.clock import rfc3339

EVENTS: Final[Mapping[str, str]] = {
    "credits.low": "The balance fell below its threshold",
    "credits.expiring": "Credits expire in 30, 7 or 1 days",
    "credits.granted": "Credits were added: bought, given, or a plan's month",
    "credits.spent": "Credits were charged",
    "purchase.paid": "A pack was paid",
    "purchase.refunded": "A purchase was refunded, in part or whole, or lost in a dispute",
    "subscription.changed": "A plan began, renewed, changed or ended, or a payment of it failed",
    "generation.succeeded": "A generation delivered what it was asked for, or a part",
    "generation.failed": "A generation failed and nothing was charged",
}
HISTORY_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "credits.granted": ("purchase", "grant", "transfer_in"),
    "credits.spent": ("spend", "capture"),
}
"""Events that are read from the entries of the ledger, by the kinds of entries."""
TEST: Final = "webhook.test"
"""Sent on request only, whatever the endpoint chose."""

_encoder = msgspec.json.Encoder(decimal_format="number")


def payload(event: str, data: Mapping[str, object], *, now: datetime) -> str:
    """Return the body of an event; times in ``data`` become RFC 3339 text."""
    values = {name: _value(value) for name, value in data.items()}
    body = {"type": event, "timestamp": rfc3339(now), "data": values}
    return _encoder.encode(body).decode()


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _value(item) for name, item in value.items()}
    return value
