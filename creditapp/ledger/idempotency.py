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

An effect elsewhere, such as at Stripe, cannot share a transaction with its key. Then ``replay``
claims the key in a transaction of its own, and ``settle`` or ``give_up`` ends the claim in another;
a claim that nobody ended lapses, so that whoever dies in between locks no key for good.
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
_TAKE_OVER: Final = write(
    "UPDATE request_keys SET created_at = :now"
    " WHERE caller = :caller AND route = :route AND key = :key AND digest = :digest"
    " AND answer IS NULL AND created_at < :before"
)
_SETTLE: Final = write(
    "UPDATE request_keys SET answer = :answer"
    " WHERE caller = :caller AND route = :route AND key = :key AND digest = :digest"
    " AND answer IS NULL"
)
_GIVE_UP: Final = write(
    "DELETE FROM request_keys WHERE caller = :caller AND route = :route AND key = :key"
    " AND answer IS NULL AND created_at = :since"
)
_PRUNE: Final = write("DELETE FROM request_keys WHERE created_at < :before")


def replay(
    connection: Connection,
    caller: str,
    route: str,
    key: str,
    digest: str,
    *,
    now: datetime,
    lapsed_before: datetime | None = None,
) -> str | None:
    """Return the stored answer of an earlier request, or None and claim the key for this one.

    Raises ``IdempotencyKeyReused`` when the key came with another body, and
    ``IdempotencyInProgress`` while the earlier request has no answer yet; a claim from before
    ``lapsed_before`` is taken over instead, by one of those who try. ``digest`` is over parsed
    input and file hashes, at most 64 letters.
    """
    request = {"caller": caller, "route": route, "key": key, "digest": digest}
    claimed = connection.execute(_CLAIM, {**request, "now": now}).scalar()
    if claimed is not None:
        return None
    answer = answered(connection, caller, route, key, digest)
    if answer is not None:
        return answer
    if lapsed_before is not None:
        taken = connection.execute(_TAKE_OVER, {**request, "now": now, "before": lapsed_before})
        if taken.rowcount == 1:
            return None
    # Within one transaction that is a caller who forgot to remember its answer.
    raise IdempotencyInProgress


def answered(connection: Connection, caller: str, route: str, key: str, digest: str) -> str | None:
    """Return the stored answer of an earlier request, or None where there is none; claim nothing.

    Raises ``IdempotencyKeyReused`` when the key came with another body.
    """
    found = connection.execute(_FIND, {"caller": caller, "route": route, "key": key}).first()
    if found is None:
        return None
    if found.digest != digest:
        raise IdempotencyKeyReused
    answer: str | None = found.answer
    return answer


def remember(connection: Connection, caller: str, route: str, key: str, answer: str) -> None:
    """Store the answer (a JSON text) of the request whose key ``replay`` has claimed."""
    stored = connection.execute(
        _REMEMBER, {"caller": caller, "route": route, "key": key, "answer": answer}
    )
    if stored.rowcount != 1:
        raise AssertionError("this key was not claimed, or has its answer already")


def settle(
    connection: Connection, caller: str, route: str, key: str, digest: str, answer: str
) -> None:
    """Store the answer of a claim that may have lapsed and been taken over; the first one stands.

    Where the claim is gone altogether nothing is stored.
    """
    request = {"caller": caller, "route": route, "key": key, "digest": digest}
    connection.execute(_SETTLE, {**request, "answer": answer})


def give_up(connection: Connection, caller: str, route: str, key: str, *, since: datetime) -> None:
    """End a claim that came to nothing; ``since`` is its ``now``, so another's claim stays."""
    request = {"caller": caller, "route": route, "key": key}
    connection.execute(_GIVE_UP, {**request, "since": since})


def prune(connection: Connection, *, before: datetime) -> int:
    """Forget the keys from before a moment; a later repeat would be a new request."""
    return connection.execute(_PRUNE, {"before": before}).rowcount
