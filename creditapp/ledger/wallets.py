"""Create, find, freeze and unfreeze wallets; erase their texts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.errors import NotFound
from creditapp.ledger import expiry, idempotency, lineage, locked_wallet
from creditapp.ledger.sql import read, write

_FIND: Final = read(
    "SELECT id FROM wallets WHERE owner_kind = :owner_kind AND owner_id = :owner_id"
)
_OWNER: Final = read("SELECT owner_kind, owner_id FROM wallets WHERE id = :wallet_id")
_INSERT: Final = read(
    "INSERT INTO wallets (owner_kind, owner_id, next_expiry_at, created_at)"
    " VALUES (:owner_kind, :owner_id, :next_expiry_at, :now)"
    " ON CONFLICT (owner_kind, owner_id) DO NOTHING RETURNING id"
)
_UNEXPIRED_GRANTS: Final = read(
    "SELECT id, expires_at, frozen_at, created_at FROM grants"
    " WHERE wallet_id = :wallet_id AND expires_at > :at AND expires_at < :until",
    *lineage.MOMENTS,
)
_ERASE_NOTES: Final = write("DELETE FROM notes WHERE wallet_id = :wallet_id")
_EXTEND: Final = write("UPDATE grants SET expires_at = :expires_at WHERE id = :grant_id")


def ensure_wallet(connection: Connection, owner_kind: str, owner_id: str, *, now: datetime) -> int:
    """Return the id of an owner's wallet; create it if there is none.

    ``owner_kind`` is ``user``, ``team`` or ``receipt``. Concurrent callers get the same wallet.
    """
    wallet_id = find_wallet(connection, owner_kind, owner_id)
    if wallet_id is not None:
        return wallet_id
    owner = {"owner_kind": owner_kind, "owner_id": owner_id}
    new_id = connection.execute(_INSERT, {**owner, "next_expiry_at": NEVER, "now": now}).scalar()
    # Without an id another transaction was first, and the INSERT has waited for its commit.
    return int(new_id) if new_id is not None else int(connection.execute(_FIND, owner).scalar_one())


def find_wallet(connection: Connection, owner_kind: str, owner_id: str) -> int | None:
    """Return the id of an owner's wallet, or None."""
    owner = {"owner_kind": owner_kind, "owner_id": owner_id}
    wallet_id = connection.execute(_FIND, owner).scalar()
    return None if wallet_id is None else int(wallet_id)


def owner(connection: Connection, wallet_id: int) -> tuple[str, str]:
    """Return the kind and id of a wallet's owner; raise ``NotFound`` without a wallet."""
    row = connection.execute(_OWNER, {"wallet_id": wallet_id}).one_or_none()
    if row is None:
        raise NotFound
    return row[0], row[1]


def erase_texts(connection: Connection, owner_kind: str, owner_id: str) -> None:
    """Erase every free text of an owner: the notes of the history, and stored responses."""
    idempotency.forget(connection, owner_id)
    wallet_id = find_wallet(connection, owner_kind, owner_id)
    if wallet_id is not None:
        connection.execute(_ERASE_NOTES, {"wallet_id": wallet_id})


def freeze_wallet(connection: Connection, wallet_id: int, *, now: datetime) -> None:
    """Stop a wallet from spending; its credits do not expire until it is unfrozen."""
    wallet = locked_wallet.lock(connection, wallet_id)
    if wallet.frozen_at is not None:
        return
    expiry.sweep(connection, wallet, now)
    wallet.frozen_at = now
    wallet.post(connection)


def unfreeze_wallet(connection: Connection, wallet_id: int, *, now: datetime) -> None:
    """Let a wallet spend again; add the frozen time to the expiry of its credits."""
    wallet = locked_wallet.lock(connection, wallet_id)
    since = wallet.frozen_at
    if since is None:
        return
    grants = connection.execute(
        _UNEXPIRED_GRANTS, {"wallet_id": wallet_id, "at": since, "until": NEVER}
    ).all()
    for grant_id, expires_at, frozen_at, created_at in grants:
        # A frozen grant adds its own time when it is unfrozen: count no day twice.
        until = now if frozen_at is None else min(now, frozen_at)
        start = max(since, created_at)
        if until > start:
            later = lineage.extend_expiry(expires_at, until - start)
            connection.execute(_EXTEND, {"grant_id": grant_id, "expires_at": later})
    wallet.frozen_at = None
    expiry.sweep(connection, wallet, now)
    wallet.post(connection)
