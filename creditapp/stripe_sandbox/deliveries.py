"""Webhook deliveries: signed, queued, sent at least once and retried with growing delays.

Like Stripe, this promises neither order nor single delivery. The overview page can send an event
twice, late or never, to test how the shop handles it.
"""

from __future__ import annotations

import hmac
import http.client
import json
import logging
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from flask import Flask

from creditapp.stripe_sandbox import checkout
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json

RETRY_SECONDS = (1, 3, 10, 30, 60, 120, 300, 600)
"""Delay after each failed attempt; after the last one the delivery fails for good."""

TIMEOUT_SECONDS = 10.0
LEASE_SECONDS = 3 * TIMEOUT_SECONDS
POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """One delivery leased by this thread."""

    id: int
    event: Json
    attempts: int


class Deliveries:
    """Delivery thread. Several may share one database; each delivery is leased by one of them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-deliveries", daemon=True)

    def start(self) -> None:
        """Start the thread; deliveries left unfinished by a killed process are sent again."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the current delivery and stop the thread."""
        self._stopping.set()
        self._state.delivery_queued.set()
        self._thread.join(TIMEOUT_SECONDS + 5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self._deliver_next()
            except Exception:  # a full disk or a locked file may recover, so keep delivering
                log.exception("sandbox deliveries failed, trying again")
                busy = False
            if not busy:
                self._state.delivery_queued.wait(POLL_SECONDS)
                self._state.delivery_queued.clear()

    def _deliver_next(self) -> bool:
        delivery = self._lease_next()
        if delivery is not None:
            status, error = self._send(delivery.event)
            self._record_result(delivery, status, error)
        return delivery is not None

    def _lease_next(self) -> Delivery | None:
        """Lease the next due delivery. An expired lease means that its holder was killed."""
        if not self._state.webhook_url:
            return None
        now = time.time()
        with self._state.database.transaction() as store:
            checkout.run_due_work(store)
            row = store.connection.execute(
                "SELECT id, event_id, attempts FROM deliveries"
                " WHERE state IN ('waiting', 'sending') AND due_at <= ?"
                " ORDER BY due_at, id LIMIT 1",
                (now,),
            ).fetchone()
            if row is None:
                return None
            store.connection.execute(
                "UPDATE deliveries SET state = 'sending', due_at = ? WHERE id = ?",
                (now + LEASE_SECONDS, row["id"]),
            )
            event = store.get("event", row["event_id"])
        return Delivery(row["id"], event or {}, row["attempts"])

    def _send(self, event: Json) -> tuple[int | None, str | None]:
        payload = json.dumps(event, indent=2, ensure_ascii=False)
        address = urlsplit(self._state.webhook_url or "")
        secure = address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
        try:
            path = (address.path or "/") + (f"?{address.query}" if address.query else "")
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+sandbox)",
                "Stripe-Signature": signature(payload, self._state.webhook_secret),
            }
            connection.request("POST", path, payload.encode(), headers)
            response = connection.getresponse()
            response.read(65_536)
            return response.status, None
        except (OSError, http.client.HTTPException) as error:
            return None, type(error).__name__
        finally:
            connection.close()

    def _record_result(self, delivery: Delivery, status: int | None, error: str | None) -> None:
        attempts = delivery.attempts + 1
        delivered = status is not None and 200 <= status < 300
        given_up = attempts > len(RETRY_SECONDS)
        outcome = "delivered" if delivered else "failed" if given_up else "waiting"
        pause = 0 if delivered or given_up else RETRY_SECONDS[attempts - 1]
        now = time.time()
        with self._state.database.transaction() as store:
            store.connection.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, due_at = ?, last_status = ?,"
                " last_error = ?, last_at = ? WHERE id = ? AND state = 'sending'",
                (outcome, attempts, now + pause, status, error, now, delivery.id),
            )
            if delivered:
                store.put(delivery.event | {"pending_webhooks": 0})


def signature(payload: str, secret: str, at: int | None = None) -> str:
    """Return the ``Stripe-Signature`` header of a payload: HMAC SHA-256 over ``t.payload``."""
    moment = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{moment}.{payload}".encode(), sha256).hexdigest()
    return f"t={moment},v1={digest}"


def start_deliveries(sandbox: Flask) -> Deliveries:
    """Start delivering a sandbox's webhooks in a thread; ``stop()`` on the result ends it."""
    deliveries = Deliveries(State.of(sandbox))
    with State.of(sandbox).database.transaction() as store:
        # Their sender was killed; if it is still alive, these are sent twice at worst.
        store.connection.execute(
            "UPDATE deliveries SET state = 'waiting', due_at = ? WHERE state = 'sending'",
            (time.time(),),
        )
    deliveries.start()
    return deliveries
