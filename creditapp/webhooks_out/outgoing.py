"""Queue events for the endpoints that chose them, in the transaction of their cause.

Grants and charges are read from the ledger's entries afterwards: an entry is written with its
cause and numbered without gaps, so nothing is missed, and spending does no work for webhooks. While
many events wait for an endpoint, its entries are read later; other events are kept as not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.db import insert_once, snapshot, transaction
from creditapp.ids import new_id
from creditapp.ledger import StatementLine
from creditapp.ledger.models import Wallet
from creditapp.units import credits_number
from creditapp.webhooks_out import limits, log
from creditapp.webhooks_out.events import HISTORY_EVENTS, TEST, payload
from creditapp.webhooks_out.models import WebhookDelivery, WebhookEndpoint

HISTORY_WAITING_MAX: Final = 1000
"""For one endpoint: beyond, entries are left in the ledger until fewer events wait."""
_ENDPOINTS: Final = 200
_ENTRIES: Final = 200
"""At once, of one endpoint; the next sweep goes on."""
_EVENT_OF_KIND: Final = {kind: event for event, kinds in HISTORY_EVENTS.items() for kind in kinds}


def queue(
    session: Session,
    user_id: str,
    event: str,
    data: Mapping[str, object],
    key: str,
    *,
    now: datetime,
) -> None:
    """Queue an event for each endpoint of a member that chose it; one query where none did.

    ``key`` names the cause, never the attempt: the same key again queues nothing. Where
    ``log.WAITING_MAX`` events wait, it is kept as not sent.
    """
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.user_id == user_id, WebhookEndpoint.disabled_at.is_(None)
    )
    # An endpoint that is being deleted at this moment is waited for, and left out then.
    for endpoint in session.scalars(query.with_for_update(read=True, key_share=True)):
        if event in endpoint.events:
            state = "not_sent" if log.is_full(session, endpoint.id) else "pending"
            _insert(session, endpoint, event, data, key, now=now, state=state)


def queue_test(session: Session, endpoint: WebhookEndpoint, *, now: datetime) -> WebhookDelivery:
    """Queue a test event for an endpoint that the caller has locked.

    Raises ``Conflict`` for one that is off or waits for a test, ``RateLimited`` after many.
    """
    log.require_enabled(endpoint)
    log.require_no_test(session, endpoint.id)
    limits.count_test(session, endpoint.user_id, now=now)
    data, key = {"endpointId": endpoint.id}, f"test:{new_id('t')}"
    due_at = log.send_first(session, endpoint, now=now)
    return _insert(session, endpoint, TEST, data, key, now=now, due_at=due_at)


def queue_history() -> None:
    """Queue the events of the entries that were written since the last call; for a frequent job."""
    query = (
        select(WebhookEndpoint.id, Wallet.id)
        .join(Wallet, (Wallet.owner_kind == "user") & (Wallet.owner_id == WebhookEndpoint.user_id))
        .where(
            WebhookEndpoint.disabled_at.is_(None),
            Wallet.seq > WebhookEndpoint.announced_seq,
            ~log.has_waiting(WebhookEndpoint.id, HISTORY_WAITING_MAX),
        )
    )
    with snapshot() as session:
        behind = session.execute(query.limit(_ENDPOINTS)).all()
    for endpoint_id, wallet_id in behind:
        with transaction() as session:
            _queue_entries(session, endpoint_id, wallet_id)


def _queue_entries(session: Session, endpoint_id: str, wallet_id: int) -> None:
    endpoint = session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
    if endpoint is None or endpoint.announced_seq is None:
        return  # deleted or changed meanwhile
    lines = ledger.entries_after(
        session.connection(), wallet_id, endpoint.announced_seq, limit=_ENTRIES
    )
    for line in _chosen(lines, endpoint):
        event, key = _EVENT_OF_KIND[line.kind], f"entry:{line.id}"
        _insert(session, endpoint, event, _data(line), key, now=line.created_at)
    if lines:
        endpoint.announced_seq = lines[-1].seq


def _chosen(lines: Iterable[StatementLine], endpoint: WebhookEndpoint) -> list[StatementLine]:
    return [line for line in lines if _EVENT_OF_KIND.get(line.kind) in endpoint.events]


def _data(line: StatementLine) -> dict[str, object]:
    """Return an entry as the event tells it; ``id`` is that of the transaction in the API."""
    data: dict[str, object] = {
        "id": line.id,
        "amount": credits_number(abs(line.amount_micro)),
        "balanceAfter": credits_number(line.balance_after_micro),
    }
    if _EVENT_OF_KIND[line.kind] == "credits.granted":
        return {**data, "source": line.metadata.get("source")}
    names = ("feature", "apiKeyId", "key")
    rest = {name: line.metadata.get(name) for name in names}
    return {**data, "operation": line.operation, **rest}


def _insert(
    session: Session,
    endpoint: WebhookEndpoint,
    event: str,
    data: Mapping[str, object],
    key: str,
    *,
    now: datetime,
    due_at: datetime | None = None,
    state: str = "pending",
) -> WebhookDelivery:
    """Queue an event of the moment ``now``, due at once unless ``due_at`` is given."""
    row = WebhookDelivery(
        id=new_id("msg"),
        endpoint_id=endpoint.id,
        key=key,
        event=event,
        payload=payload(event, data, now=now),
        state=state,
        attempts=0,
        retries=0,
        due_at=due_at or now,
        created_at=now,
        finished_at=None if state == "pending" else now,
    )
    insert_once(session, row, ["endpoint_id", "key"])
    return row
