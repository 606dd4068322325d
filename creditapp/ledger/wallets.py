"""Wallets: made when first needed, frozen and unfrozen as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.errors import NotFound
from creditapp.ledger import expiry, lineage, locked_wallet
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
_RUNNING_GRANTS: Final = read(
    "SELECT id, expires_at, frozen_at, created_at FROM grants"
    " WHERE wallet_id = :wallet_id AND expires_at > :at AND expires_at < :until",
    "expires_at",
    "frozen_at",
    "created_at",
)
_EXTEND: Final = write("UPDATE grants SET expires_at = :expires_at WHERE id = :grant_id")


def ensure_wallet(connection: Connection, owner_kind: str, owner_id: str, *, now: datetime) -> int:
    """Return the id of an owner's wallet, which is made if there is none.

    ``owner_kind`` is ``user``, ``team`` or ``receipt``. Two callers at once get the same wallet.
    """
    found = find_wallet(connection, owner_kind, owner_id)
    if found is not None:
        return found
    owner = {"owner_kind": owner_kind, "owner_id": owner_id}
    made = connection.execute(_INSERT, {**owner, "next_expiry_at": NEVER, "now": now}).scalar()
    # Nothing made: another transaction was first, and the INSERT has waited for its commit.
    return int(made) if made is not None else int(connection.execute(_FIND, owner).scalar_one())


def find_wallet(connection: Connection, owner_kind: str, owner_id: str) -> int | None:
    """Return the id of an owner's wallet, or None."""
    found = connection.execute(_FIND, {"owner_kind": owner_kind, "owner_id": owner_id}).scalar()
    return None if found is None else int(found)


def owner(connection: Connection, wallet_id: int) -> tuple[str, str]:
    """Return the kind and id of a wallet's owner; ``NotFound`` if there is no such wallet."""
    found = connection.execute(_OWNER, {"wallet_id": wallet_id}).one_or_none()
    if found is None:
        raise NotFound
    return found[0], found[1]


def freeze_wallet(connection: Connection, wallet_id: int, *, now: datetime) -> None:
    """Stop an account from spending; its credits' clocks stand still until it is unfrozen."""
    wallet = locked_wallet.lock(connection, wallet_id)
    if wallet.frozen_at is not None:
        return
    expiry.sweep(connection, wallet, now)
    wallet.frozen_at = now
    wallet.post(connection)


def unfreeze_wallet(connection: Connection, wallet_id: int, *, now: datetime) -> None:
    """Let an account spend again; what would have expired meanwhile gets the frozen time added."""
    wallet = locked_wallet.lock(connection, wallet_id)
    since = wallet.frozen_at
    if since is None:
        return
    running = connection.execute(
        _RUNNING_GRANTS, {"wallet_id": wallet_id, "at": since, "until": NEVER}
    ).all()
    for grant_id, expires_at, frozen_at, created_at in running:
        # A grant that is frozen itself adds its own time when it is unfrozen: count no day twice.
        until = now if frozen_at is None else min(now, frozen_at)
        from_when = max(since, created_at)
        if until > from_when:
            later = lineage.extend(expires_at, until - from_when)
            connection.execute(_EXTEND, {"grant_id": grant_id, "expires_at": later})
    wallet.frozen_at = None
    expiry.sweep(connection, wallet, now)
    wallet.post(connection)
