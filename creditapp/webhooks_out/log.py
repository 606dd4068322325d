"""The log of deliveries: list, send again, send a test, end, and delete what is old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from creditapp.db import update_if
from creditapp.errors import Conflict, NotFound
from creditapp.webhooks_out import limits
from creditapp.webhooks_out.events import TEST
from creditapp.webhooks_out.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

ATTEMPTS_MAX: Final = 100
"""Of one delivery, sent again by its member: each is a row, and a request to somebody's server."""
WAITING_MAX: Final = 10_000
"""For one endpoint: an event beyond is not sent, unless its member asks for it."""
RETENTION: Final = timedelta(days=7)
"""How long a delivery is kept after its event."""


def list_deliveries(
    session: Session, endpoint_id: str, *, limit: int, before: str | None = None
) -> Sequence[WebhookDelivery]:
    """Return the newest ``limit`` deliveries to an endpoint before the one with the id."""
    query = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id)
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    return session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit)).all()


def attempts_of(
    session: Session, deliveries: Sequence[WebhookDelivery]
) -> Mapping[str, list[WebhookAttempt]]:
    """Return the attempts of each delivery, in order; one query for all."""
    attempts: dict[str, list[WebhookAttempt]] = {delivery.id: [] for delivery in deliveries}
    if attempts:
        query = select(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(attempts))
        for attempt in session.scalars(query.order_by(WebhookAttempt.number)):
            attempts[attempt.delivery_id].append(attempt)
    return attempts


def is_full(session: Session, endpoint_id: str) -> bool:
    """Return whether ``WAITING_MAX`` events wait for an endpoint."""
    return session.execute(select(has_waiting(endpoint_id, WAITING_MAX))).scalar_one()


def has_waiting(endpoint_id: str | InstrumentedAttribute[str], count: int) -> ColumnElement[bool]:
    """Return the condition that at least ``count`` events wait for an endpoint."""
    waiting = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.state == "pending"
    )
    return exists(waiting.offset(count - 1))


def find_delivery(session: Session, endpoint_id: str, delivery_id: str) -> WebhookDelivery:
    """Return a delivery to an endpoint; raise ``NotFound``."""
    row = session.get(WebhookDelivery, delivery_id)
    if row is None or row.endpoint_id != endpoint_id:
        raise NotFound
    return row


def redeliver(
    session: Session, endpoint: WebhookEndpoint, delivery_id: str, *, now: datetime
) -> WebhookDelivery:
    """Send a delivery again, under the same id; the schedule of its retries begins anew.

    Raises ``NotFound``, ``RateLimited``, or ``Conflict`` while the endpoint is off, and for one
    that was sent ``ATTEMPTS_MAX`` times. One that waits is sent now.
    """
    row = find_delivery(session, endpoint.id, delivery_id)
    require_enabled(endpoint)
    if row.attempts >= ATTEMPTS_MAX:
        raise Conflict(f"This event was sent {ATTEMPTS_MAX} times. It is not sent again.")
    limits.count_resend(session, endpoint.user_id, now=now)
    due_at = send_first(session, endpoint, now=now)
    update_if(session, row, state="pending", retries=0, due_at=due_at, finished_at=None)
    return row


def send_first(session: Session, endpoint: WebhookEndpoint, *, now: datetime) -> datetime:
    """End an endpoint's pause; return when an event that its member asks for now is due.

    It comes before those that wait, of which the first may only fail again.
    """
    endpoint.paused_until = None
    query = select(func.min(WebhookDelivery.due_at)).where(
        WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.state == "pending"
    )
    first = session.execute(query).scalar_one()
    return now if first is None else min(now, first - timedelta(seconds=1))


def next_attempt_at(
    endpoint: WebhookEndpoint, delivery: WebhookDelivery, *, now: datetime
) -> datetime | None:
    """Return when a delivery is tried next, soonest; None for one that has ended."""
    if delivery.state != "pending":
        return None
    return max(delivery.due_at, endpoint.paused_until or now, now)


def require_enabled(endpoint: WebhookEndpoint) -> None:
    """Raise ``Conflict`` for an endpoint that is off."""
    if endpoint.disabled_at is not None:
        raise Conflict("This endpoint is off. Switch it on first.")


def require_no_test(session: Session, endpoint_id: str) -> None:
    """Raise ``Conflict`` while a test event waits for the endpoint."""
    tests = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == endpoint_id,
        WebhookDelivery.event == TEST,
        WebhookDelivery.state == "pending",
    )
    if session.execute(tests.limit(1)).first():
        raise Conflict("A test event is on its way already. Its result will be in the log.")


def fail_pending(session: Session, endpoint_id: str, *, now: datetime) -> None:
    """End what waits for an endpoint as failed."""
    waiting = update(WebhookDelivery).where(
        WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.state == "pending"
    )
    session.execute(waiting.values(state="failed", finished_at=now))


def delete_log(session: Session, endpoint_ids: Collection[str]) -> None:
    """Delete every delivery to these endpoints."""
    _delete(session, WebhookDelivery.endpoint_id.in_(endpoint_ids))


def sweep(session: Session, *, now: datetime) -> None:
    """Delete deliveries whose event is old and that wait for no attempt; for a daily job."""
    old = WebhookDelivery.created_at < now - RETENTION
    off = select(WebhookEndpoint.id).where(WebhookEndpoint.disabled_at.is_not(None))
    ended = (WebhookDelivery.state != "pending") | WebhookDelivery.endpoint_id.in_(off)
    _delete(session, old & ended)


def _delete(session: Session, condition: ColumnElement[bool]) -> None:
    ids = select(WebhookDelivery.id).where(condition)
    session.execute(delete(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(ids)))
    session.execute(delete(WebhookDelivery).where(condition))
