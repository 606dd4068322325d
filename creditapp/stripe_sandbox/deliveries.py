"""The post: signed webhooks from a queue, at least once, tried again with growing pauses.

Stripe promises neither order nor that an event comes only once, and neither does this: the
overview can send an event twice, late, or never, to see what the shop makes of it.
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

from creditapp.stripe_sandbox import payment
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json

RETRY_SECONDS = (1, 3, 10, 30, 60, 120, 300, 600)
"""The pauses after each failure; after the last one the event is given up."""

TIMEOUT_SECONDS = 10.0
LEASE_SECONDS = 3 * TIMEOUT_SECONDS
LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parcel:
    """One delivery that this thread has taken."""

    id: int
    event: Json
    attempts: int


class Deliveries:
    """The thread that delivers; several may share one file, each delivery is taken by one."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-deliveries", daemon=True)

    def start(self) -> None:
        """Begin; what a killed process had taken and not finished is sent again."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the delivery in hand and end."""
        self._stopping.set()
        self._state.post_arrived.set()
        self._thread.join(TIMEOUT_SECONDS + 5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self._round()
            except Exception:  # a full disk or a locked file passes; the post must go on
                log.exception("sandbox deliveries failed, trying again")
                busy = False
            if not busy:
                self._state.post_arrived.wait(LOOK_SECONDS)
                self._state.post_arrived.clear()

    def _round(self) -> bool:
        parcel = self._take()
        if parcel is not None:
            status, error = self._send(parcel.event)
            self._note(parcel, status, error)
        return parcel is not None

    def _take(self) -> Parcel | None:
        """Lease what is due next: a lease that has run out means that its holder was killed."""
        if not self._state.webhook_url:
            return None
        now = time.time()
        with self._state.store.transaction() as books:
            payment.tick(books)
            row = books.connection.execute(
                "SELECT id, event_id, attempts FROM deliveries"
                " WHERE state IN ('waiting', 'sending') AND due_at <= ?"
                " ORDER BY due_at, id LIMIT 1",
                (now,),
            ).fetchone()
            if row is None:
                return None
            books.connection.execute(
                "UPDATE deliveries SET state = 'sending', due_at = ? WHERE id = ?",
                (now + LEASE_SECONDS, row["id"]),
            )
            event = books.get("event", row["event_id"])
        return Parcel(row["id"], event or {}, row["attempts"])

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

    def _note(self, parcel: Parcel, status: int | None, error: str | None) -> None:
        attempts = parcel.attempts + 1
        delivered = status is not None and 200 <= status < 300
        given_up = attempts > len(RETRY_SECONDS)
        outcome = "delivered" if delivered else "failed" if given_up else "waiting"
        pause = 0 if delivered or given_up else RETRY_SECONDS[attempts - 1]
        now = time.time()
        with self._state.store.transaction() as books:
            books.connection.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, due_at = ?, last_status = ?,"
                " last_error = ?, last_at = ? WHERE id = ? AND state = 'sending'",
                (outcome, attempts, now + pause, status, error, now, parcel.id),
            )
            if delivered:
                books.put(parcel.event | {"pending_webhooks": 0})


def signature(payload: str, secret: str, at: int | None = None) -> str:
    """Return the ``Stripe-Signature`` header of a payload: HMAC SHA-256 over ``t.payload``."""
    moment = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{moment}.{payload}".encode(), sha256).hexdigest()
    return f"t={moment},v1={digest}"


def start_deliveries(sandbox: Flask) -> Deliveries:
    """Start delivering a sandbox's webhooks in a thread; ``stop()`` of the answer ends it."""
    deliveries = Deliveries(State.of(sandbox))
    with State.of(sandbox).store.transaction() as books:
        # Who was sending these was killed, or will at worst send them once more.
        books.connection.execute(
            "UPDATE deliveries SET state = 'waiting', due_at = ? WHERE state = 'sending'",
            (time.time(),),
        )
    deliveries.start()
    return deliveries
