"""Mails that come by the clock: credits that end soon, and a balance that fell low.

Both are for jobs. A tick that fails or is killed is made up for by the next, and what was told is
noted in the transaction that queues the mail, so that nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.clock import now
from creditapp.db import insert_once, snapshot, transaction
from creditapp.emails.delivery import notify
from creditapp.emails.models import ExpiryNotice
from creditapp.ledger import Grant
from creditapp.ledger.outbox import Event

DAYS_BEFORE: Final = (1, 7, 30)
"""How many days before its end a lot is spoken of, the nearest first."""

SETTLING: Final = timedelta(minutes=15)
"""How long a low balance may be due to something that is under way and may still come back."""

_BATCH: Final = 200

log = structlog.get_logger(__name__)


def warn_of_expiry() -> None:
    """Queue a mail to everybody of whose credits some end in 30, 7 or 1 days; for a daily job.

    One mail a person and moment, about all lots together. A lot that never had so many days ahead
    of it is not spoken of: whoever gets credits for a week is not told at once that it is a week.
    """
    moment, after = now(), 0
    until = moment + timedelta(days=max(DAYS_BEFORE))
    while True:
        with snapshot() as session:
            batch = ledger.expiring_wallets(
                session.connection(), until=until, after=after, limit=_BATCH
            )
        for wallet_id, owner_id in batch:
            try:
                with transaction() as session:
                    _tell_of_expiry(session, wallet_id, owner_id, moment)
            except Exception as error:
                # One wallet that cannot be read must not keep the others from being told.
                log.warning("expiry not told", wallet=wallet_id, error_type=type(error).__name__)
        if len(batch) < _BATCH:
            return
        after = batch[-1][0]


def warn_low_balance() -> None:
    """Queue a mail to everybody whose balance fell below their threshold; for a frequent job.

    The ledger writes the fact with the spend that crosses the threshold, so there is one for each
    fall and none while the balance stays below.
    """
    moment = now()
    with transaction() as session:
        events = ledger.outbox.claim(session.connection(), ["low_balance"], _BATCH, now=moment)
    for event in events:
        with transaction() as session:
            _tell_low(session, event, moment)


def _tell_of_expiry(session: Session, wallet_id: int, owner_id: str, moment: datetime) -> None:
    user = accounts.find(session, owner_id)
    if user is None:
        return
    grants = ledger.list_grants(session.connection(), wallet_id)
    nearer = timedelta(0)
    for days in DAYS_BEFORE:
        ahead = timedelta(days=days)
        lots = [
            grant
            for grant in grants
            if grant.frozen_at is None
            and nearer < grant.expires_at - moment <= ahead
            and grant.created_at < grant.expires_at - ahead
            and _note_once(session, grant, days, moment)
        ]
        nearer = ahead
        if lots:
            first = lots[0]
            context = {"days": days, "path": "/", **_lots(lots)}
            key = f"credits_expiring:{days}:{first.id}:{first.expires_at:%Y%m%d%H%M%S}"
            notify(session, "credits_expiring", user, context, key, now=moment)


def _note_once(session: Session, grant: Grant, days: int, moment: datetime) -> bool:
    notice = ExpiryNotice(grant_id=grant.id, days=days, expires_at=grant.expires_at, told_at=moment)
    return insert_once(session, notice, ["grant_id", "days", "expires_at"])


def _lots(grants: Sequence[Grant]) -> dict[str, object]:
    """Return the lots with those that end at one moment put together, the first first."""
    merged: dict[datetime, int] = {}
    for grant in grants:
        merged[grant.expires_at] = merged.get(grant.expires_at, 0) + grant.remaining_micro
    return {
        "total_micro": sum(merged.values()),
        "lots": [{"micro": merged[at], "at": at} for at in sorted(merged)],
    }


def _tell_low(session: Session, event: Event, moment: datetime) -> None:
    connection = session.connection()
    balance = ledger.balance(connection, event.wallet_id, now=moment)
    threshold = int(event.payload["threshold_micro"])
    low = balance.available_micro < threshold
    may_come_back = balance.available_micro + balance.held_micro >= threshold
    if low and may_come_back and moment - event.created_at < SETTLING:
        # Something is set aside and may return: look again when it has ended. The event stays
        # claimed, and is offered again after the outbox's lease.
        return
    owner_kind, owner_id = ledger.owner(connection, event.wallet_id)
    user = accounts.find(session, owner_id) if low and owner_kind == "user" else None
    if user is not None:
        context = {
            "balance_micro": balance.available_micro,
            "low_micro": threshold,
            "path": "/credits",
        }
        notify(session, "low_balance", user, context, f"low_balance:{event.id}", now=moment)
    ledger.outbox.done(connection, [event.id], now=moment)
