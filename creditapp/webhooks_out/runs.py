"""Delivery: one job at a time for each endpoint, which sends what is due and keeps the log.

The sweep starts a run for an endpoint with due deliveries; the run's number and a lease keep it the
only one. A run that dies is repeated by the jobs, or by the sweep when its lease ends: a delivery
is sent at least once, always under its own id.

A receiver that fails or is slow ends its run, so that it takes a thread for one attempt. One that
fails is paused, longer and longer; one that was slow is called in other threads than the rest, so
that slow receivers wait for each other alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
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
RETRY_AFTER_MAX: Final = timedelta(hours=1)
"""Of the wait that a receiver asks for, so that the schedule still ends after about a day."""
PAUSE_MIN: Final = timedelta(seconds=5)
PAUSE_MAX: Final = timedelta(minutes=10)
"""After a failure, between them half the time since the endpoint began to fail."""
SLOW_MILLISECONDS: Final = 3000
SLOW_FOR: Final = timedelta(minutes=10)
"""How long after an attempt of ``SLOW_MILLISECONDS`` an endpoint is called as a slow one."""
ATTEMPTS_MAX: Final = 20
"""Of one run. A sweep starts one run of an endpoint, so it gets at most 600 requests a minute."""
_LEASE: Final = timedelta(minutes=2)
"""Of a run, renewed before each attempt, which takes at most 15 s."""
RUN_SECONDS: Final = 20.0
"""After these a run ends, and the sweep starts the next: no receiver keeps a thread."""
_STARTS: Final = 200

Start = Callable[[str, str], object]
"""Called with the job id of a run, and with its partition of the jobs."""
Stopped = Callable[[Session, WebhookEndpoint, datetime], None]
"""Called in the transaction that switches an endpoint off because its receiver fails."""

log = structlog.get_logger(__name__)


def sweep(start: Start) -> None:
    """Queue what the ledger recorded, and start a run for each endpoint with due deliveries.

    A partition is a member's: some of their endpoints are called at once. Slow receivers have
    partitions of their own, and with these their own share of a worker's threads.
    """
    moment = now()
    outgoing.queue_history()
    due = (
        select(WebhookEndpoint.id, WebhookEndpoint.user_id, WebhookEndpoint.slow_until)
        .join(WebhookDelivery, WebhookDelivery.endpoint_id == WebhookEndpoint.id)
        .where(WebhookDelivery.state == "pending", WebhookDelivery.due_at <= moment, *_free(moment))
        .distinct()
    )
    with snapshot() as session:
        endpoints_due = session.execute(due.limit(_STARTS)).all()
    for endpoint_id, user_id, slow_until in endpoints_due:
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
            is_slow = slow_until is not None and slow_until > moment
            kind = "webhooks-slow" if is_slow else "webhooks"
            start(f"{endpoint_id}.{run}", f"{kind}/{user_id}")


def deliver(job_id: str, stopped: Stopped) -> None:
    """Send an endpoint's due deliveries, the longest due first.

    The run ends when none is left, when one fails or takes long, and after a while.
    """
    endpoint_id, _, run = job_id.rpartition(".")
    ends_at = time.monotonic() + RUN_SECONDS
    for _ in range(ATTEMPTS_MAX):
        message = _next(endpoint_id, int(run))
        if message is None:
            return
        outcome = _send(message)
        if not _record(message, outcome, stopped):
            return
        if outcome.milliseconds >= SLOW_MILLISECONDS or time.monotonic() >= ends_at:
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
    until = (WebhookEndpoint.leased_until, WebhookEndpoint.paused_until)
    passed = (or_(column.is_(None), column <= moment) for column in until)
    return WebhookEndpoint.disabled_at.is_(None), *passed


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
        return Outcome(problem="secret_unreadable")
    # Real time: receivers refuse an old signature, and the clock of a demo can be moved.
    signed_at, message_id = Clock().now(), message.delivery_id
    signatures = [
        Webhook(secret).sign(message_id, signed_at, message.body) for secret in message.secrets
    ]
    settings = get(Settings)
    headers = {
        "Content-Type": "application/json",
        # Names the sender to a server that never asked for webhooks.
        "User-Agent": f"CreditApp-Webhooks (+{settings.site_url})",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(signed_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return transport.post(
        message.url, message.body.encode(), headers, loopback=settings.webhooks_to_loopback
    )


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
        if outcome.milliseconds >= SLOW_MILLISECONDS:
            endpoint.slow_until = moment + SLOW_FOR
        if outcome.ok:
            delivery.state, delivery.finished_at = "delivered", moment
            endpoint.failing_since = endpoint.paused_until = None
            return endpoint.run == message.run
        log.info("webhook not delivered", endpoint=endpoint.id, problem=outcome.problem)
        asked = max(timedelta(0), min(outcome.retry_after or timedelta(0), RETRY_AFTER_MAX))
        if delivery.state == "pending":
            _schedule(delivery, asked, moment)
        if endpoint.disabled_at is None:
            _note_failure(session, endpoint, outcome, stopped, moment)
        if endpoint.disabled_at is None:
            _pause(endpoint, asked, moment)
        if endpoint.run == message.run:
            endpoint.leased_until = None
    return False


def _schedule(delivery: WebhookDelivery, asked: timedelta, moment: datetime) -> None:
    """Set when a failed delivery is tried again; after the last wait it has failed.

    ``asked`` is how long its receiver asked to wait. The waits of the schedule that fit into it are
    over with it, so that the schedule ends when it would have without.
    """
    if delivery.retries >= len(RETRIES):
        delivery.state, delivery.finished_at = "failed", moment
        return
    waits = list(accumulate(RETRIES[delivery.retries :]))
    jitter = random.uniform(0.8, 1.2)  # noqa: S311  # spreads the load, hides nothing
    delivery.due_at = moment + max(waits[0] * jitter, asked)
    delivery.retries += max(1, sum(wait <= asked for wait in waits))


def _pause(endpoint: WebhookEndpoint, asked: timedelta, moment: datetime) -> None:
    """Pause an endpoint that failed: its other deliveries would only fail too."""
    failing = moment - (endpoint.failing_since or moment)
    endpoint.paused_until = moment + max(asked, min(max(PAUSE_MIN, failing / 2), PAUSE_MAX))


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
