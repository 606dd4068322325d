"""Delivery: one job at a time for each endpoint, which sends what is due and keeps the log.

The sweep starts a run for an endpoint with due deliveries; the run's number and a lease keep it the
only one. A run that dies is repeated by the jobs, or by the sweep when its lease ends: a delivery
is sent at least once, always under its own id. A receiver that fails ends the run, so that it takes
one thread for one attempt and no other endpoint waits for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session
from standardwebhooks import Webhook

from creditapp.clock import Clock, now
from creditapp.config import Settings
from creditapp.credentials.encryption import Undecryptable
from creditapp.db import snapshot, transaction, update_if
from creditapp.services import get
from creditapp.webhooks_out import endpoints, outgoing, transport
from creditapp.webhooks_out.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from creditapp.webhooks_out.transport import Outcome

RETRIES: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 60, 300, 1800, 2 * 3600, 5 * 3600, 8 * 3600, 8 * 3600)
)
"""Waits after a failure, about a day together; each is up to a fifth shorter or longer."""
GIVE_UP: Final = timedelta(days=3)
"""After so long without a success an endpoint is switched off."""
_LEASE: Final = timedelta(minutes=2)
"""Of a run, renewed before each attempt; an attempt takes at most 15 s after the name's lookup."""
_PAUSE: Final = timedelta(seconds=5)
"""Before the next run of an endpoint whose receiver failed."""
_ATTEMPTS_MAX: Final = 100
"""Of one run; the sweep starts the next."""
RUN_SECONDS: Final = 20.0
"""After these a run ends, and the sweep starts the next: a slow receiver keeps no thread."""
_STARTS: Final = 200

Start = Callable[[str, str], object]
"""Called with the job id of a run, and with the id of the endpoint's member."""
Stopped = Callable[[Session, WebhookEndpoint, datetime], None]
"""Called in the transaction that switches an endpoint off because its receiver fails."""

log = structlog.get_logger(__name__)


def sweep(start: Start) -> None:
    """Queue what the ledger recorded, and start a run for each endpoint with due deliveries."""
    moment = now()
    outgoing.queue_history()
    due = (
        select(WebhookEndpoint.id, WebhookEndpoint.user_id)
        .join(WebhookDelivery, WebhookDelivery.endpoint_id == WebhookEndpoint.id)
        .where(WebhookDelivery.state == "pending", WebhookDelivery.due_at <= moment, *_free(moment))
        .distinct()
    )
    with snapshot() as session:
        endpoints_due = session.execute(due.limit(_STARTS)).all()
    for endpoint_id, user_id in endpoints_due:
        with transaction() as session:
            endpoint = session.get_one(WebhookEndpoint, endpoint_id)
            run = endpoint.run + 1
            started = update_if(
                session,
                endpoint,
                WebhookEndpoint.run == endpoint.run,
                *_free(moment),
                run=run,
                leased_until=moment + _LEASE,
            )
        if started:
            start(f"{endpoint_id}.{run}", user_id)


def deliver(job_id: str, stopped: Stopped) -> None:
    """Send an endpoint's due deliveries, the longest due first, until none is left or one fails."""
    endpoint_id, _, run = job_id.rpartition(".")
    ends_at = time.monotonic() + RUN_SECONDS
    for _ in range(_ATTEMPTS_MAX):
        message = _next(endpoint_id, int(run))
        if message is None:
            return
        outcome = _send(message)
        if not _record(message, outcome, stopped):
            return
        if time.monotonic() >= ends_at:
            break
    with transaction() as session:
        _release(session, endpoint_id, int(run), until=None)


@dataclass(frozen=True, slots=True)
class _Message:
    """One attempt to make: everything it needs, read before the call."""

    delivery_id: str
    endpoint_id: str
    run: int
    number: int
    url: str
    body: str
    secrets: list[str]
    """Empty if they cannot be read."""
    at: datetime


def _free(moment: datetime) -> tuple[ColumnElement[bool], ...]:
    no_lease = or_(WebhookEndpoint.leased_until.is_(None), WebhookEndpoint.leased_until <= moment)
    return WebhookEndpoint.disabled_at.is_(None), no_lease


def _next(endpoint_id: str, run: int) -> _Message | None:
    """Renew the lease and return the next attempt; None when there is none, or a newer run."""
    moment = now()
    with transaction() as session:
        if not _release(session, endpoint_id, run, until=moment + _LEASE):
            return None
        query = select(WebhookDelivery).where(
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.state == "pending",
            WebhookDelivery.due_at <= moment,
        )
        by_age = query.order_by(WebhookDelivery.due_at, WebhookDelivery.id)
        delivery = session.scalars(by_age.limit(1)).one_or_none()
        if delivery is None:
            _release(session, endpoint_id, run, until=None)
            return None
        endpoint = session.get_one(WebhookEndpoint, endpoint_id)
        return _Message(
            delivery_id=delivery.id,
            endpoint_id=endpoint_id,
            run=run,
            number=delivery.attempts + 1,
            url=endpoint.url,
            body=delivery.payload,
            secrets=_secrets(endpoint, moment),
            at=moment,
        )


def _release(session: Session, endpoint_id: str, run: int, *, until: datetime | None) -> bool:
    """Set the end of a run's lease; return False if the run is not the endpoint's any more."""
    endpoint = session.get(WebhookEndpoint, endpoint_id)
    return endpoint is not None and update_if(
        session,
        endpoint,
        WebhookEndpoint.run == run,
        WebhookEndpoint.disabled_at.is_(None),
        leased_until=until,
    )


def _secrets(endpoint: WebhookEndpoint, moment: datetime) -> list[str]:
    try:
        return endpoints.secrets_of(endpoint, now=moment)
    except Undecryptable:
        return []


def _send(message: _Message) -> Outcome:
    if not message.secrets:
        return Outcome(0, problem="secret_unreadable")
    # Real time: receivers refuse an old signature, and the clock of a demo can be moved.
    signed_at, message_id = Clock().now(), message.delivery_id
    signatures = [
        Webhook(secret).sign(message_id, signed_at, message.body) for secret in message.secrets
    ]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "CreditApp-Webhooks",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(signed_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    loopback = get(Settings).webhooks_to_loopback
    return transport.post(message.url, message.body.encode(), headers, loopback=loopback)


def _record(message: _Message, outcome: Outcome, stopped: Stopped) -> bool:
    """Store an attempt and what follows from it; return whether the run goes on."""
    moment = now()
    with transaction() as session:
        # Not against new events for it, which share the key of its row.
        lock = {"key_share": True}
        endpoint = session.get(WebhookEndpoint, message.endpoint_id, with_for_update=lock)
        delivery = session.get(WebhookDelivery, message.delivery_id, with_for_update=True)
        if endpoint is None or delivery is None or delivery.attempts >= message.number:
            return False  # deleted meanwhile, or another run made this attempt too
        session.add(
            WebhookAttempt(
                delivery_id=delivery.id,
                number=message.number,
                started_at=message.at,
                milliseconds=outcome.milliseconds,
                status=outcome.status,
                problem=outcome.problem,
            )
        )
        delivery.attempts = message.number
        if outcome.ok:
            delivery.state, delivery.finished_at = "delivered", moment
            endpoint.failing_since = None
            return endpoint.run == message.run
        log.info("webhook not delivered", endpoint=endpoint.id, problem=outcome.problem)
        if delivery.state == "pending":
            _schedule(delivery, moment)
        if endpoint.disabled_at is None:
            _note_failure(session, endpoint, outcome, stopped, moment)
        if endpoint.run == message.run and endpoint.disabled_at is None:
            endpoint.leased_until = moment + _PAUSE
    return False


def _schedule(delivery: WebhookDelivery, moment: datetime) -> None:
    """Set when a failed delivery is tried again; after the last wait it has failed."""
    if delivery.retries >= len(RETRIES):
        delivery.state, delivery.finished_at = "failed", moment
        return
    jitter = random.uniform(0.8, 1.2)  # noqa: S311  # spreads the load, hides nothing
    delivery.due_at = moment + RETRIES[delivery.retries] * jitter
    delivery.retries += 1


def _note_failure(
    session: Session,
    endpoint: WebhookEndpoint,
    outcome: Outcome,
    stopped: Stopped,
    moment: datetime,
) -> None:
    """Switch off an endpoint that answers 410, or that has failed for too long."""
    if endpoint.failing_since is None:
        endpoint.failing_since = moment
    gone = outcome.status == 410
    if gone or moment - endpoint.failing_since >= GIVE_UP:
        endpoints.disable(session, endpoint, "gone" if gone else "failing", now=moment)
        stopped(session, endpoint, moment)
