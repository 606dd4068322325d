"""Reminders of expiring credits and of a low balance.

Both run in periodic jobs. The next tick makes up for one that failed or was killed, and a reminder
is recorded in the transaction that queues its email, so that none is sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.db import insert_once, snapshot, transaction
from creditapp.emails.delivery import notify
from creditapp.emails.models import ExpiryNotice
from creditapp.ledger import Grant
from creditapp.ledger.outbox import Event
from creditapp.logs import error_fields

DAYS_BEFORE: Final = (1, 7, 30)
"""Days before the expiry of a grant on which its owner is reminded, the nearest first."""

SETTLING: Final = timedelta(minutes=15)
"""How long to wait while held credits may still return to a low balance."""

_BATCH: Final = 200

Listener = Callable[[Session, str, Mapping[str, Any], str, datetime], None]
"""Called in a reminder's transaction, also where its email is off: the user's id, the context of
the email, its key, and now."""

log = structlog.get_logger(__name__)


def queue_expiry_reminders(now: datetime, listener: Listener) -> None:
    """Queue emails about credits that expire in 30, 7 or 1 days; for a daily job.

    All grants of one user for one reminder are in one email. A grant that was valid for fewer days
    from the start is left out: credits given for a week are not announced as expiring in a week.
    """
    after, until = 0, now + timedelta(days=max(DAYS_BEFORE))
    while True:
        with snapshot() as session:
            batch = ledger.expiring_wallets(
                session.connection(), until=until, after=after, limit=_BATCH
            )
        for wallet_id, owner_id in batch:
            try:
                with transaction() as session:
                    _remind_of_expiry(session, wallet_id, owner_id, now, listener)
            except Exception as error:
                # One wallet that cannot be read must not stop the reminders of the others.
                log.warning("expiry reminder failed", wallet=wallet_id, **error_fields(error))
        if len(batch) < _BATCH:
            return
        after = batch[-1][0]


def queue_low_balance_reminders(now: datetime, listener: Listener) -> None:
    """Queue emails about balances below their owner's threshold; for a frequent job.

    The ledger writes an event with the spend that crosses the threshold, so there is one email for
    each fall and none while the balance stays below.
    """
    with transaction() as session:
        events = ledger.outbox.claim(session.connection(), ["low_balance"], _BATCH, now=now)
    for event in events:
        with transaction() as session:
            _remind_of_low_balance(session, event, now, listener)


def _remind_of_expiry(
    session: Session, wallet_id: int, owner_id: str, now: datetime, listener: Listener
) -> None:
    user = accounts.find(session, owner_id)
    if user is None:
        return
    grants = ledger.list_grants(session.connection(), wallet_id)
    previous = timedelta(0)
    for days in DAYS_BEFORE:
        ahead = timedelta(days=days)
        lots = [
            grant
            for grant in grants
            if grant.frozen_at is None
            and previous < grant.expires_at - now <= ahead
            and grant.created_at < grant.expires_at - ahead
            and _record_once(session, grant, days, now)
        ]
        previous = ahead
        if lots:
            first = lots[0]
            context = {"days": days, "path": "/", **_lots(lots)}
            key = f"credits_expiring:{days}:{first.id}:{first.expires_at:%Y%m%d%H%M%S}"
            notify(session, "credits_expiring", user, context, key, now=now)
            listener(session, user.id, context, key, now)


def _record_once(session: Session, grant: Grant, days: int, now: datetime) -> bool:
    notice = ExpiryNotice(grant_id=grant.id, days=days, expires_at=grant.expires_at, told_at=now)
    return insert_once(session, notice, ["grant_id", "days", "expires_at"])


def _lots(grants: Sequence[Grant]) -> dict[str, object]:
    """Return the expiring amounts, merged by expiry date, the earliest first."""
    merged: dict[datetime, int] = {}
    for grant in grants:
        merged[grant.expires_at] = merged.get(grant.expires_at, 0) + grant.remaining_micro
    return {
        "total_micro": sum(merged.values()),
        "lots": [{"micro": merged[at], "at": at} for at in sorted(merged)],
    }


def _remind_of_low_balance(
    session: Session, event: Event, now: datetime, listener: Listener
) -> None:
    connection = session.connection()
    balance = ledger.balance(connection, event.wallet_id, now=now)
    threshold = int(event.payload["threshold_micro"])
    low = balance.available_micro < threshold
    may_return = balance.available_micro + balance.held_micro >= threshold
    if low and may_return and now - event.created_at < SETTLING:
        # Held credits may return: check again when the hold ends. The event stays claimed, and
        # is offered again after the outbox's lease.
        return
    owner_kind, owner_id = ledger.owner(connection, event.wallet_id)
    user = accounts.find(session, owner_id) if low and owner_kind == "user" else None
    if user is not None:
        context = {
            "balance_micro": balance.available_micro,
            "low_micro": threshold,
            "path": "/credits",
        }
        key = f"low_balance:{event.id}"
        notify(session, "low_balance", user, context, key, now=now)
        listener(session, user.id, context, key, now)
    ledger.outbox.done(connection, [event.id], now=now)
