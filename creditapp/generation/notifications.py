"""Webhooks about a generation that ended, queued in the transaction that settles it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import webhooks_out
from creditapp.generation.models import Generation
from creditapp.units import credits_number


def queue_webhook(session: Session, generation: Generation, *, now: datetime) -> None:
    """Tell a member's servers that a generation succeeded or failed; a canceled one tells nothing.

    The prompt and the files are left out: the receiver fetches what it needs by the id.
    """
    if generation.owner_kind != "user" or generation.state not in ("succeeded", "failed"):
        return
    event = f"generation.{generation.state}"
    data: dict[str, object] = {
        "id": generation.id,
        "operation": generation.operation,
        "model": generation.model,
        "ordered": generation.n,
        "delivered": generation.delivered,
        "creditsUsed": credits_number(generation.charged_micro),
        "errorCode": generation.error_code,
        "url": f"/api/generations/{generation.id}",
        "createdAt": generation.created_at,
        "finishedAt": generation.finished_at,
    }
    webhooks_out.queue(
        session, generation.owner_id, event, data, f"{event}:{generation.id}", now=now
    )
