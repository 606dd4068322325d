"""Webhook endpoints and deliveries, as the settings show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from creditapp import webhooks_out
from creditapp.webhooks_out import WebhookAttempt, WebhookDelivery, WebhookEndpoint


@dataclass(frozen=True)
class WebhookEndpointView:
    """The ``webhook_endpoint`` component: where it is, what it receives, and how it does."""

    id: str
    url: str
    host: str
    description: str
    events: Sequence[str]
    disabled_reason: str | None
    """``member``, ``failing`` or ``gone``; None while it is on."""
    failing_since: datetime | None
    previous_secret_until: datetime | None
    """None unless the secret before signs too."""


@dataclass(frozen=True)
class WebhookDeliveryView:
    """The ``webhook_delivery`` component: an event with its attempts."""

    id: str
    event: str
    state: str
    created_at: datetime
    next_at: datetime | None
    attempts: Sequence[WebhookAttempt]


def webhook_endpoint(row: WebhookEndpoint, *, now: datetime) -> WebhookEndpointView:
    """Return an endpoint."""
    until = row.previous_secret_until
    return WebhookEndpointView(
        id=row.id,
        url=row.url,
        host=urlsplit(row.url).netloc,
        description=row.description,
        events=row.events,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        previous_secret_until=until if until is not None and until > now else None,
    )


def webhook_delivery(
    endpoint: WebhookEndpoint,
    row: WebhookDelivery,
    attempts: Sequence[WebhookAttempt],
    *,
    now: datetime,
) -> WebhookDeliveryView:
    """Return a delivery with its attempts."""
    return WebhookDeliveryView(
        id=row.id,
        event=row.event,
        state=row.state,
        created_at=row.created_at,
        next_at=webhooks_out.next_attempt_at(endpoint, row, now=now),
        attempts=attempts,
    )
