"""Reads: they take no lock and write nothing.

What has ended by the clock and was not yet written down is worked out on the way: expired credits
are subtracted, lapsed holds are returned, exactly as the next sweep will do it.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.errors import NotFound
from creditapp.ledger.lineage import RETURN_LIFETIME
from creditapp.ledger.sql import read

_BALANCE_COLUMNS: Final = (
    "w.id, w.available_micro, w.held_micro, w.frozen_micro, w.owed_micro, w.frozen_at,"
    " w.next_expiry_at,"
    " w.lifetime_granted_micro, w.lifetime_spent_micro, w.lifetime_welcome_micro,"
    " w.lifetime_purchased_micro"
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
    "SELECT w.frozen_at, w.next_expiry_at, (SELECT CAST(COALESCE(SUM(g.remaining_micro), 0) AS"
    " BIGINT)"
    " FROM grants g WHERE g.wallet_id = w.id AND g.remaining_micro > 0 AND g.frozen_at IS NULL"
    " AND g.expires_at > :now AND g.scope IN ('*', :operation))"
    " FROM wallets w WHERE w.id = :wallet_id",
    "frozen_at",
    "next_expiry_at",
)
_UNSWEPT: Final = read(
    "SELECT CAST(COALESCE(SUM(remaining_micro), 0) AS BIGINT) FROM grants WHERE wallet_id ="
    " :wallet_id"
    " AND remaining_micro > 0 AND frozen_at IS NULL AND expires_at <= :at"
)
_LAPSED: Final = read(
    "SELECT c.expires_at AS lapsed_at, a.captured_micro, g.id, g.owed_micro, g.scope,"
    " g.expires_at AS expires_at,"
    " g.frozen_at AS frozen_at"
    " FROM charges c JOIN allocations a ON a.charge_id = c.id JOIN grants g ON g.id = a.grant_id"
    " WHERE c.wallet_id = :wallet_id AND c.state = 'open' AND c.expires_at <= :now"
    " ORDER BY c.expires_at, c.id, a.offset_micro",
    "lapsed_at",
    "expires_at",
    "frozen_at",
)
_GRANT_COLUMNS: Final = (
    "id, wallet_id, source, origin, amount_micro, remaining_micro, expired_micro, revoked_micro,"
    " transferred_micro, owed_micro, priority,"
    " scope, expires_at, frozen_at, paid_minor, currency, livemode, parent_grant_id,"
    " root_grant_id, actor, created_at"
)
_MOMENTS: Final = ("expires_at", "frozen_at", "created_at")
_GRANT: Final = read(f"SELECT {_GRANT_COLUMNS} FROM grants WHERE id = :grant_id", *_MOMENTS)
_GRANT_OF_ORIGIN: Final = read(
    f"SELECT {_GRANT_COLUMNS} FROM grants WHERE origin = :origin", *_MOMENTS
)
_GRANTS: Final = read(
    f"SELECT {_GRANT_COLUMNS} FROM grants"
    " WHERE wallet_id = :wallet_id AND remaining_micro >= :remaining_min"
    " ORDER BY priority, expires_at, CASE WHEN scope = '*' THEN 1 ELSE 0 END, id",
    *_MOMENTS,
)


@dataclass(frozen=True)
class Balance:
    """What a wallet has, in microcredits. The total is what the history's last line says."""

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
        """What is there, whether it can be spent now or not."""
        return self.available_micro + self.held_micro + self.frozen_micro


@dataclass(frozen=True)
class Expiring:
    """Credits that end at one moment."""

    amount_micro: int
    expires_at: datetime


@dataclass(frozen=True)
class Summary:
    """A wallet at a glance."""

    balance: Balance
    expiring: list[Expiring]


@dataclass(frozen=True)
class Grant:
    """A lot of credits that came in together."""

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
class _Returned:
    """What lapsed holds will have given back at the next sweep."""

    lapsed: int = 0
    available_micro: int = 0
    frozen: int = 0
    paid: int = 0


def balance(connection: Connection, wallet_id: int, *, now: datetime) -> Balance:
    """Return a wallet's balance; its cost does not depend on the length of the history."""
    row = connection.execute(_BALANCE, {"wallet_id": wallet_id}).one_or_none()
    if row is None:
        raise NotFound
    return _as_of(connection, Balance(*row), now)


def summary(connection: Connection, wallet_id: int, *, now: datetime) -> Summary:
    """Return the balance with what expires when, in one query unless something is unswept."""
    rows = connection.execute(_SUMMARY, {"wallet_id": wallet_id, "until": NEVER, "now": now}).all()
    if not rows:
        raise NotFound
    amounts: dict[datetime, int] = {}
    for row in rows:
        if row[-2] is not None:
            amounts[row[-2]] = amounts.get(row[-2], 0) + row[-1]
    expiring = [Expiring(amount_micro, at) for at, amount_micro in amounts.items()]
    return Summary(_as_of(connection, Balance(*rows[0][:-2]), now), expiring)


def spendable(connection: Connection, wallet_id: int, operation: str, *, now: datetime) -> int:
    """Return the microcredits that may pay for ``operation``; 0 while the account is frozen."""
    row = connection.execute(
        _SPENDABLE, {"wallet_id": wallet_id, "operation": operation, "now": now}
    ).one_or_none()
    if row is None:
        raise NotFound
    frozen_at, next_expiry_at, amount_micro = row
    if frozen_at is not None:
        return 0
    if next_expiry_at <= now:
        amount_micro += _returned(connection, wallet_id, now, now, operation).available_micro
    return int(amount_micro)


def list_grants(
    connection: Connection, wallet_id: int, *, include_spent: bool = False
) -> list[Grant]:
    """Return a wallet's grants in the order in which they are spent."""
    parameters = {"wallet_id": wallet_id, "remaining_min": 0 if include_spent else 1}
    return [Grant(*row) for row in connection.execute(_GRANTS, parameters)]


def grant_by_id(connection: Connection, grant_id: int) -> Grant:
    """Return a grant; ``NotFound`` if there is none."""
    row = connection.execute(_GRANT, {"grant_id": grant_id}).one_or_none()
    if row is None:
        raise NotFound
    return Grant(*row)


def find_grant(connection: Connection, origin: str) -> Grant | None:
    """Return the grant that was made for an origin such as ``purchase:<id>``, or None."""
    row = connection.execute(_GRANT_OF_ORIGIN, {"origin": origin}).one_or_none()
    return None if row is None else Grant(*row)


def _as_of(connection: Connection, stored: Balance, now: datetime) -> Balance:
    if stored.next_expiry_at > now:
        return stored
    clock = now if stored.frozen_at is None else min(now, stored.frozen_at)
    expired = connection.execute(
        _UNSWEPT, {"wallet_id": stored.wallet_id, "at": clock}
    ).scalar_one()
    returned = _returned(connection, stored.wallet_id, now, clock, None)
    return Balance(
        stored.wallet_id,
        stored.available_micro - expired + returned.available_micro,
        stored.held_micro - returned.lapsed,
        stored.frozen_micro + returned.frozen,
        stored.owed_micro - returned.paid,
        stored.frozen_at,
        stored.next_expiry_at,
        stored.lifetime_granted_micro,
        stored.lifetime_spent_micro,
        stored.lifetime_welcome_micro,
        stored.lifetime_purchased_micro,
    )


def _returned(
    connection: Connection, wallet_id: int, now: datetime, clock: datetime, operation: str | None
) -> _Returned:
    """Walk through the lapsed holds as the sweep will, for one operation or for all."""
    owed_micro: dict[int, int] = {}
    lapsed = available_micro = frozen = paid = 0
    rows = connection.execute(_LAPSED, {"wallet_id": wallet_id, "now": now})
    for lapsed_at, captured_micro, grant_id, owing, scope, expires_at, frozen_at in rows:
        lapsed += captured_micro
        pays = min(captured_micro, owed_micro.setdefault(grant_id, owing))
        owed_micro[grant_id] -= pays
        paid += pays
        if frozen_at is not None:
            frozen += captured_micro - pays
            continue
        if expires_at <= min(lapsed_at, clock):
            # Expired when it came back: it returned as a grant of its own.
            expires_at = lapsed_at + RETURN_LIFETIME
        if expires_at > clock and (operation is None or scope in ("*", operation)):
            available_micro += captured_micro - pays
    return _Returned(lapsed, available_micro, frozen, paid)
