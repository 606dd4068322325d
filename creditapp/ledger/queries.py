"""Reads of balances and grants, without a lock and without writing.

What has expired but is not yet swept is computed on the fly: expired credits are subtracted and
lapsed holds returned, exactly as the next sweep will do it.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam

from creditapp.clock import NEVER
from creditapp.errors import NotFound
from creditapp.ledger.lineage import MOMENTS, RETURN_LIFETIME
from creditapp.ledger.sql import read, write

_BALANCE_COLUMNS: Final = (
    "w.id, w.available_micro, w.held_micro, w.frozen_micro, w.owed_micro, w.frozen_at,"
    " w.next_expiry_at, w.lifetime_granted_micro, w.lifetime_spent_micro,"
    " w.lifetime_welcome_micro, w.lifetime_purchased_micro"
)
_BALANCE: Final = read(
    f"SELECT {_BALANCE_COLUMNS} FROM wallets w WHERE w.id = :wallet_id",
    "frozen_at",
    "next_expiry_at",
)
_SUMMARY: Final = read(
    f"SELECT {_BALANCE_COLUMNS}, g.expires_at AS expires_at, g.remaining_micro FROM wallets w"
    " LEFT JOIN grants g ON g.wallet_id = w.id AND g.remaining_micro > 0 AND g.frozen_at IS NULL"
    " AND g.expires_at < :until AND g.expires_at > :now"
    " WHERE w.id = :wallet_id ORDER BY g.expires_at",
    "frozen_at",
    "next_expiry_at",
    "expires_at",
)
_SPENDABLE: Final = read(
    "SELECT w.frozen_at, w.next_expiry_at,"
    " (SELECT CAST(COALESCE(SUM(g.remaining_micro), 0) AS BIGINT)"
    " FROM grants g WHERE g.wallet_id = w.id AND g.remaining_micro > 0 AND g.frozen_at IS NULL"
    " AND g.expires_at > :now AND g.scope IN ('*', :operation))"
    " FROM wallets w WHERE w.id = :wallet_id",
    "frozen_at",
    "next_expiry_at",
)
_HELD_FOR: Final = write(
    "SELECT CAST(COALESCE(SUM(amount_micro), 0) AS BIGINT) FROM charges"
    " WHERE wallet_id = :wallet_id AND state = 'open' AND operation IN :operations"
).bindparams(bindparam("operations", expanding=True))
# An open charge has all of its amount in captured_micro.
_TAKEN_BY_KEY: Final = read(
    "SELECT CAST(COALESCE(SUM(captured_micro), 0) AS BIGINT) FROM charges"
    " WHERE api_key_id = :api_key_id AND created_at >= :since"
)
_UNSWEPT: Final = read(
    "SELECT CAST(COALESCE(SUM(remaining_micro), 0) AS BIGINT) FROM grants"
    " WHERE wallet_id = :wallet_id"
    " AND remaining_micro > 0 AND frozen_at IS NULL AND expires_at <= :at"
)
_LAPSED_HOLDS: Final = read(
    "SELECT c.expires_at AS lapsed_at, a.captured_micro, g.id, g.owed_micro, g.scope,"
    " g.expires_at AS expires_at, g.frozen_at AS frozen_at"
    " FROM charges c JOIN allocations a ON a.charge_id = c.id JOIN grants g ON g.id = a.grant_id"
    " WHERE c.wallet_id = :wallet_id AND c.state = 'open' AND c.expires_at <= :now"
    " ORDER BY c.expires_at, c.id, a.offset_micro",
    "lapsed_at",
    "expires_at",
    "frozen_at",
)
_GRANT_COLUMNS: Final = (
    "id, wallet_id, source, origin, amount_micro, remaining_micro, expired_micro, revoked_micro,"
    " transferred_micro, owed_micro, priority, scope, expires_at, frozen_at, paid_minor, currency,"
    " livemode, parent_grant_id, root_grant_id, actor, created_at"
)
_GRANT_BY_ID: Final = read(f"SELECT {_GRANT_COLUMNS} FROM grants WHERE id = :grant_id", *MOMENTS)
_GRANT_BY_ORIGIN: Final = read(
    f"SELECT {_GRANT_COLUMNS} FROM grants WHERE origin = :origin", *MOMENTS
)
_GRANTS: Final = read(
    f"SELECT {_GRANT_COLUMNS} FROM grants"
    " WHERE wallet_id = :wallet_id AND remaining_micro >= :remaining_min_micro"
    " ORDER BY priority, expires_at, CASE WHEN scope = '*' THEN 1 ELSE 0 END, id",
    *MOMENTS,
)


@dataclass(frozen=True)
class Balance:
    """Balance of a wallet, in microcredits. The total equals the last entry's balance."""

    wallet_id: int
    available_micro: int
    held_micro: int
    frozen_micro: int
    owed_micro: int
    frozen_at: datetime | None
    next_expiry_at: datetime
    lifetime_granted_micro: int
    lifetime_spent_micro: int
    lifetime_welcome_micro: int
    lifetime_purchased_micro: int

    @property
    def total_micro(self) -> int:
        """Total balance, spendable or not."""
        return self.available_micro + self.held_micro + self.frozen_micro


@dataclass(frozen=True)
class ExpiringCredits:
    """Credits that expire at one moment."""

    amount_micro: int
    expires_at: datetime


@dataclass(frozen=True)
class Summary:
    """Balance of a wallet, and its credits that expire."""

    balance: Balance
    expiring: list[ExpiringCredits]


@dataclass(frozen=True)
class Grant:
    """A lot of credits with one source, scope and expiry."""

    id: int
    wallet_id: int
    source: str
    origin: str
    amount_micro: int
    remaining_micro: int
    expired_micro: int
    revoked_micro: int
    transferred_micro: int
    owed_micro: int
    priority: int
    scope: str
    expires_at: datetime
    frozen_at: datetime | None
    paid_minor: int | None
    currency: str | None
    livemode: bool | None
    parent_grant_id: int | None
    root_grant_id: int | None
    actor: str
    created_at: datetime


@dataclass(frozen=True)
class _LapsedReturn:
    """Microcredits that lapsed holds return at the next sweep."""

    held_micro: int = 0
    available_micro: int = 0
    frozen_micro: int = 0
    repaid_micro: int = 0


def balance(connection: Connection, wallet_id: int, *, now: datetime) -> Balance:
    """Return a wallet's balance; its cost does not depend on the length of the history."""
    row = connection.execute(_BALANCE, {"wallet_id": wallet_id}).one_or_none()
    if row is None:
        raise NotFound
    return _as_of(connection, Balance(*row), now)


def summary(connection: Connection, wallet_id: int, *, now: datetime) -> Summary:
    """Return the balance and the credits that expire, in one query unless something is unswept."""
    rows = connection.execute(_SUMMARY, {"wallet_id": wallet_id, "until": NEVER, "now": now}).all()
    if not rows:
        raise NotFound
    amounts_micro: dict[datetime, int] = {}
    for *_, expires_at, remaining_micro in rows:
        if expires_at is not None:
            amounts_micro[expires_at] = amounts_micro.get(expires_at, 0) + remaining_micro
    expiring = [ExpiringCredits(amount, expires_at) for expires_at, amount in amounts_micro.items()]
    return Summary(_as_of(connection, Balance(*rows[0][:-2]), now), expiring)


def spendable(connection: Connection, wallet_id: int, operation: str, *, now: datetime) -> int:
    """Return the microcredits that may pay for ``operation``; 0 while the wallet is frozen."""
    row = connection.execute(
        _SPENDABLE, {"wallet_id": wallet_id, "operation": operation, "now": now}
    ).one_or_none()
    if row is None:
        raise NotFound
    frozen_at, next_expiry_at, amount_micro = row
    if frozen_at is not None:
        return 0
    if next_expiry_at <= now:
        amount_micro += _lapsed_return(connection, wallet_id, now, now, operation).available_micro
    return int(amount_micro)


def held_for(connection: Connection, wallet_id: int, operations: Sequence[str]) -> int:
    """Return the microcredits that open charges for these operations hold."""
    parameters = {"wallet_id": wallet_id, "operations": list(operations)}
    return int(connection.execute(_HELD_FOR, parameters).scalar_one())


def taken_by_key(connection: Connection, api_key_id: str, *, since: datetime) -> int:
    """Return the microcredits that an API key's charges since a moment have taken or hold."""
    parameters = {"api_key_id": api_key_id, "since": since}
    return int(connection.execute(_TAKEN_BY_KEY, parameters).scalar_one())


def list_grants(
    connection: Connection, wallet_id: int, *, include_spent: bool = False
) -> list[Grant]:
    """Return a wallet's grants in the order in which they are spent."""
    parameters = {"wallet_id": wallet_id, "remaining_min_micro": 0 if include_spent else 1}
    return [Grant(*row) for row in connection.execute(_GRANTS, parameters)]


def grant_by_id(connection: Connection, grant_id: int) -> Grant:
    """Return a grant; raise ``NotFound`` if there is none."""
    row = connection.execute(_GRANT_BY_ID, {"grant_id": grant_id}).one_or_none()
    if row is None:
        raise NotFound
    return Grant(*row)


def find_grant(connection: Connection, origin: str) -> Grant | None:
    """Return the grant with an origin such as ``purchase:<id>``, or None."""
    row = connection.execute(_GRANT_BY_ORIGIN, {"origin": origin}).one_or_none()
    return None if row is None else Grant(*row)


def _as_of(connection: Connection, stored: Balance, now: datetime) -> Balance:
    if stored.next_expiry_at > now:
        return stored
    clock = now if stored.frozen_at is None else min(now, stored.frozen_at)
    expired_micro = connection.execute(
        _UNSWEPT, {"wallet_id": stored.wallet_id, "at": clock}
    ).scalar_one()
    lapsed = _lapsed_return(connection, stored.wallet_id, now, clock, None)
    return replace(
        stored,
        available_micro=stored.available_micro - expired_micro + lapsed.available_micro,
        held_micro=stored.held_micro - lapsed.held_micro,
        frozen_micro=stored.frozen_micro + lapsed.frozen_micro,
        owed_micro=stored.owed_micro - lapsed.repaid_micro,
    )


def _lapsed_return(
    connection: Connection, wallet_id: int, now: datetime, clock: datetime, operation: str | None
) -> _LapsedReturn:
    """Compute what the sweep of lapsed holds will return, for one operation or for all."""
    owed: dict[int, int] = {}
    held_micro = available_micro = frozen_micro = total_repaid_micro = 0
    rows = connection.execute(_LAPSED_HOLDS, {"wallet_id": wallet_id, "now": now})
    for lapsed_at, amount_micro, grant_id, owed_micro, scope, expires_at, frozen_at in rows:
        held_micro += amount_micro
        repaid_micro = min(amount_micro, owed.setdefault(grant_id, owed_micro))
        owed[grant_id] -= repaid_micro
        total_repaid_micro += repaid_micro
        if frozen_at is not None:
            frozen_micro += amount_micro - repaid_micro
            continue
        if expires_at <= min(lapsed_at, clock):
            # The grant had expired by then: these credits return as a new grant.
            expires_at = lapsed_at + RETURN_LIFETIME
        if expires_at > clock and (operation is None or scope in ("*", operation)):
            available_micro += amount_micro - repaid_micro
    return _LapsedReturn(held_micro, available_micro, frozen_micro, total_repaid_micro)
