"""Expiry of credits, and of holds made by API.

The rules hold without a sweeper. Every verb that spends sweeps its wallet first when
``next_expiry_at`` has passed; reads subtract expired credits without writing. The job that calls
``expire`` for ``due_wallets`` only keeps the history up to date.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.ledger import deallocation, locked_wallet
from creditapp.ledger.locked_wallet import LockedWallet
from creditapp.ledger.sql import read, write

_LAPSED_HOLDS: Final = read(
    "SELECT id, amount_micro, expires_at FROM charges"
    " WHERE wallet_id = :wallet_id AND state = 'open'"
    " AND expires_at <= :now ORDER BY expires_at, id",
    "expires_at",
)
_RELEASE: Final = write(
    "UPDATE charges SET state = 'released', captured_micro = 0, settled_at = :now,"
    " entry_seq = :entry_seq WHERE id = :charge_id"
)
_DUE: Final = (
    "wallet_id = :wallet_id AND remaining_micro > 0 AND frozen_at IS NULL AND expires_at <= :at"
)
_DUE_GRANTS: Final = read(
    f"SELECT id, remaining_micro, expires_at FROM grants WHERE {_DUE} ORDER BY expires_at, id",
    "expires_at",
)
_EXPIRE: Final = write(
    "UPDATE grants SET expired_micro = expired_micro + remaining_micro, remaining_micro = 0"
    f" WHERE {_DUE}"
)
_NEXT: Final = read(
    "SELECT (SELECT MIN(expires_at) FROM grants WHERE wallet_id = :wallet_id"
    " AND remaining_micro > 0 AND frozen_at IS NULL) AS grants_at,"
    " (SELECT MIN(expires_at) FROM charges WHERE wallet_id = :wallet_id"
    " AND state = 'open') AS holds_at",
    "grants_at",
    "holds_at",
)
_DUE_WALLETS: Final = read(
    "SELECT id FROM wallets WHERE next_expiry_at <= :now AND frozen_at IS NULL"
    " ORDER BY next_expiry_at LIMIT :limit"
)
_EXPIRING_WALLETS: Final = read(
    "SELECT id, owner_id FROM wallets WHERE next_expiry_at <= :until AND frozen_at IS NULL"
    " AND owner_kind = 'user' AND id > :after ORDER BY id LIMIT :limit"
)


def expire(connection: Connection, wallet_id: int, *, now: datetime) -> int:
    """Write the expiry of what is due in a wallet; return the expired microcredits."""
    return sweep(connection, locked_wallet.lock(connection, wallet_id), now)


def due_wallets(connection: Connection, *, now: datetime, limit: int = 100) -> list[int]:
    """Return the ids of wallets in which something has expired, longest ago first."""
    return list(connection.execute(_DUE_WALLETS, {"now": now, "limit": limit}).scalars())


def expiring_wallets(
    connection: Connection, *, until: datetime, after: int, limit: int
) -> list[tuple[int, str]]:
    """Return users' wallets in which something expires by ``until``, with their owners, by id.

    The next page begins ``after`` the last wallet's id.
    """
    page = {"until": until, "after": after, "limit": limit}
    return [(row[0], row[1]) for row in connection.execute(_EXPIRING_WALLETS, page)]


def sweep(connection: Connection, wallet: LockedWallet, now: datetime) -> int:
    """Expire what is due in a locked wallet and post it; return the expired microcredits.

    Every verb sweeps first, so that its result does not depend on when a sweeper ran. The sweep is
    posted at once, so that a refusal after it leaves the ledger consistent.
    """
    if wallet.next_expiry_at > now:
        return 0
    _release_lapsed_holds(connection, wallet, now)
    due = {"wallet_id": wallet.wallet_id, "at": wallet.clock(now)}
    rows = connection.execute(_DUE_GRANTS, due).all()
    if rows:
        connection.execute(_EXPIRE, due)
    for grant_id, remaining_micro, expires_at in rows:
        wallet.available_micro -= remaining_micro
        wallet.add_entry(
            "expiry",
            -remaining_micro,
            now=now,
            grant_id=grant_id,
            effective_at=min(expires_at, now),
        )
    expired_micro = sum(remaining_micro for _, remaining_micro, _ in rows)
    if expired_micro:
        wallet.add_event("expired", now, amount_micro=expired_micro)
    upcoming = connection.execute(_NEXT, {"wallet_id": wallet.wallet_id}).one()
    wallet.next_expiry_at = min((moment for moment in upcoming if moment), default=NEVER)
    wallet.post(connection)
    return int(expired_micro)


def _release_lapsed_holds(connection: Connection, wallet: LockedWallet, now: datetime) -> None:
    holds = connection.execute(_LAPSED_HOLDS, {"wallet_id": wallet.wallet_id, "now": now}).all()
    for charge_id, amount_micro, expires_at in holds:
        wallet.held_micro -= amount_micro
        seq = wallet.add_entry("release", 0, now=now, charge_id=charge_id, effective_at=expires_at)
        connection.execute(_RELEASE, {"charge_id": charge_id, "now": now, "entry_seq": seq})
        parts = deallocation.plan(connection, charge_id, 0)
        deallocation.apply(connection, wallet, charge_id, 0, parts, now=now, at=expires_at)
        wallet.add_event("released", now, charge=charge_id, amount_micro=amount_micro)
