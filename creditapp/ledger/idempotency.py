"""Idempotency keys of requests: the response is stored in the transaction of its effect.

    with transaction() as session:
        response = idempotency.claim(connection, caller, route, key, digest, now=now)
        if response is not None:
            return response                     # with Idempotent-Replayed: true
        ...                                     # the effect
        idempotency.complete(connection, caller, route, key, digest, response)

A refusal rolls the transaction back and with it the key: a 402 is not replayed after buying. Of
two identical requests at once, the second waits for the first (on PostgreSQL at the unique row, on
SQLite at the writer's lock) and then gets its response.

An external effect, such as one at Stripe, cannot share a transaction with its key. Then ``claim``
runs in a transaction of its own, and ``complete`` or ``release`` ends the claim in another. A claim
that is never ended lapses, so that a crash does not lock its key for good.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.errors import IdempotencyInProgress, IdempotencyKeyReused
from creditapp.ledger.sql import Direct, read, stored, write

_CLAIM: Final = Direct(
    "INSERT INTO request_keys (caller, route, key, digest, created_at)"
    " VALUES (:caller, :route, :key, :digest, :now)"
    " ON CONFLICT (caller, route, key) DO NOTHING RETURNING id"
)
_FIND: Final = read(
    "SELECT digest, response FROM request_keys"
    " WHERE caller = :caller AND route = :route AND key = :key"
)
_TAKE_OVER: Final = write(
    "UPDATE request_keys SET created_at = :now"
    " WHERE caller = :caller AND route = :route AND key = :key AND digest = :digest"
    " AND response IS NULL AND created_at < :before"
)
_COMPLETE: Final = Direct(
    "UPDATE request_keys SET response = :response"
    " WHERE caller = :caller AND route = :route AND key = :key AND digest = :digest"
    " AND response IS NULL"
)
_RELEASE: Final = write(
    "DELETE FROM request_keys WHERE caller = :caller AND route = :route AND key = :key"
    " AND response IS NULL AND created_at = :since"
)
_FORGET: Final = write("DELETE FROM request_keys WHERE caller = :caller")
_PRUNE: Final = write("DELETE FROM request_keys WHERE created_at < :before")


def claim(
    connection: Connection,
    caller: str,
    route: str,
    key: str,
    digest: str,
    *,
    now: datetime,
    lapsed_before: datetime | None = None,
) -> str | None:
    """Return the stored response of an earlier request, or None and claim the key for this one.

    Raises ``IdempotencyKeyReused`` if the key came with another body, and
    ``IdempotencyInProgress`` while the earlier request has no response. A claim older than
    ``lapsed_before`` is taken over instead, by exactly one of the requests that try. ``digest`` is
    over parsed input and file hashes, at most 64 characters.
    """
    request = {"caller": caller, "route": route, "key": key, "digest": digest}
    if _CLAIM.row(connection, {**request, "now": stored(connection, now)}) is not None:
        return None
    response = stored_response(connection, caller, route, key, digest)
    if response is not None:
        return response
    if lapsed_before is not None:
        update = connection.execute(_TAKE_OVER, {**request, "now": now, "before": lapsed_before})
        if update.rowcount == 1:
            return None
    # Within one transaction, this is a caller who forgot to store its response.
    raise IdempotencyInProgress


def stored_response(
    connection: Connection, caller: str, route: str, key: str, digest: str
) -> str | None:
    """Return the stored response of an earlier request, or None; claim nothing.

    Raises ``IdempotencyKeyReused`` if the key came with another body.
    """
    row = connection.execute(_FIND, {"caller": caller, "route": route, "key": key}).first()
    if row is None:
        return None
    if row.digest != digest:
        raise IdempotencyKeyReused
    response: str | None = row.response
    return response


def complete(
    connection: Connection, caller: str, route: str, key: str, digest: str, response: str
) -> None:
    """Store the response (JSON text) of a claim; the first response of a key stays.

    Stores nothing if the claim was taken over and ended.
    """
    request = {"caller": caller, "route": route, "key": key, "digest": digest}
    _COMPLETE.run(connection, {**request, "response": response})


def release(connection: Connection, caller: str, route: str, key: str, *, since: datetime) -> None:
    """Delete a claim without a response; ``since`` is its ``now``, so another's claim stays."""
    request = {"caller": caller, "route": route, "key": key}
    connection.execute(_RELEASE, {**request, "since": since})


def forget(connection: Connection, caller: str) -> None:
    """Forget the keys and responses of a caller who is gone."""
    connection.execute(_FORGET, {"caller": caller})


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete keys older than ``before``; a later repeat counts as a new request."""
    return connection.execute(_PRUNE, {"before": before}).rowcount
