"""Connections between webhooks and emails, of which neither knows the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from creditapp import accounts, emails, webhooks_out
from creditapp.units import credits_number
from creditapp.webhooks_out import WebhookEndpoint


def queue_low(
    session: Session, user_id: str, context: Mapping[str, Any], key: str, now: datetime
) -> None:
    """Queue the webhook about a low balance, beside its email."""
    data = {
        "balance": credits_number(context["balance_micro"]),
        "threshold": credits_number(context["low_micro"]),
    }
    webhooks_out.queue(session, user_id, "credits.low", data, key, now=now)


def queue_expiring(
    session: Session, user_id: str, context: Mapping[str, Any], key: str, now: datetime
) -> None:
    """Queue the webhook about credits that expire, beside its email."""
    data = {
        "days": context["days"],
        "total": credits_number(context["total_micro"]),
        "expiring": [
            {"amount": credits_number(lot["micro"]), "expiresAt": lot["at"]}
            for lot in context["lots"]
        ],
    }
    webhooks_out.queue(session, user_id, "credits.expiring", data, key, now=now)


def email_stopped(session: Session, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Queue the email about an endpoint that was switched off because it fails."""
    user = accounts.find(session, endpoint.user_id)
    if user is None:
        return
    context = {
        "host": urlsplit(endpoint.url).netloc,
        "reason": endpoint.disabled_reason,
        "failing_since": endpoint.failing_since,
        "path": f"/settings/webhooks/{endpoint.id}",
    }
    key = f"webhook_stopped:{endpoint.id}:{now:%Y%m%d%H%M%S}"
    emails.notify(session, "webhook_stopped", user, context, key, now=now)
