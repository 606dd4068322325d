"""A caller's idempotency keys: the answer is stored in the transaction of its effect.

    with transaction() as session:
        stored = requests.replay(connection, caller, route, key, digest, now=now)
        if stored is not None:
            return stored                       # with Idempotent-Replayed: true
        ...                                     # the effect
        requests.remember(connection, caller, route, key, answer)

A refusal rolls the transaction back and with it the key: a 402 is not replayed after buying. Two
identical requests at once: the second waits for the first (on PostgreSQL at the unique row, on
SQLite at the writer's lock) and then gets its answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.errors import IdempotencyInProgress, IdempotencyKeyReused
from creditapp.ledger.sql import read, write

_CLAIM: Final = read(
    "INSERT INTO request_keys (caller, route, key, digest, created_at)"
    " VALUES (:caller, :route, :key, :digest, :now)"
    " ON CONFLICT (caller, route, key) DO NOTHING RETURNING id"
)
_FIND: Final = read(
    "SELECT digest, answer FROM request_keys"
    " WHERE caller = :caller AND route = :route AND key = :key"
)
_REMEMBER: Final = write(
    "UPDATE request_keys SET answer = :answer"
    " WHERE caller = :caller AND route = :route AND key = :key AND answer IS NULL"
)
_PRUNE: Final = write("DELETE FROM request_keys WHERE created_at < :before")


def replay(
    connection: Connection, caller: str, route: str, key: str, digest: str, *, now: datetime
) -> str | None:
    """Return the stored answer of an earlier request, or None and claim the key for this one.

    Raises ``IdempotencyKeyReused`` when the key came with another body. ``digest`` is over parsed
    input and file hashes, at most 64 letters.
    """
    request = {"caller": caller, "route": route, "key": key}
    claimed = connection.execute(_CLAIM, {**request, "digest": digest, "now": now}).scalar()
    if claimed is not None:
        return None
    stored_digest, answer = connection.execute(_FIND, request).one()
    if stored_digest != digest:
        raise IdempotencyKeyReused
    if answer is None:
        # Only within one transaction, or after a caller forgot to remember its answer.
        raise IdempotencyInProgress
    return str(answer)


def remember(connection: Connection, caller: str, route: str, key: str, answer: str) -> None:
    """Store the answer (a JSON text) of the request whose key ``replay`` has claimed."""
    stored = connection.execute(
        _REMEMBER, {"caller": caller, "route": route, "key": key, "answer": answer}
    )
    if stored.rowcount != 1:
        raise AssertionError("this key was not claimed, or has its answer already")


def prune(connection: Connection, *, before: datetime) -> int:
    """Forget the keys from before a moment; a later repeat would be a new request."""
    return connection.execute(_PRUNE, {"before": before}).rowcount
