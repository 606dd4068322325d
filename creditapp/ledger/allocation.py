"""The statements of a spend and of a hold: the ledger's most travelled road.

The same rows are written on both databases. On SQLite that is a statement for each table. On
PostgreSQL what follows the wallet's lock is folded into one statement, which saves four trips
(measured: a third of the time); it must follow the lock and not contain it, because a statement
sees the grants as they were when it began, and waiting for the lock would come after that.
SQLite knows no INSERT or UPDATE within WITH.
"""

# ruff: noqa: S608  # SQL is joined from constants of this module only

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.ledger.sql import Direct, stored


@dataclass(frozen=True, slots=True)
class Order:
    """What a spend or a hold asks for."""

    wallet_id: int
    amount_micro: int
    key: str
    digest: str
    operation: str
    actor: str
    feature: str
    api_key_id: str | None
    request_id: str | None
    expires_at: datetime | None
    now: datetime
    is_hold: bool
    low_micro: int
    note: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The wallet after the lock: its last line's number, and what it has left."""

    seq: int
    available_micro: int
    balance: int


_TAKE: Final = Direct(
    "UPDATE wallets SET available_micro = available_micro - :amount_micro, held_micro ="
    " held_micro + :held_micro,"
    " seq = seq + :lines, lifetime_spent_micro = lifetime_spent_micro + :spent_micro,"
    " next_expiry_at = CASE WHEN next_expiry_at > :until THEN :until ELSE next_expiry_at END"
    " WHERE id = :wallet_id AND available_micro >= :amount_micro AND frozen_at IS NULL"
    " AND next_expiry_at > :now"
    " RETURNING seq, available_micro, available_micro + held_micro + frozen_micro"
)
_UNTAKE: Final = Direct(
    "UPDATE wallets SET available_micro = available_micro + :amount_micro, held_micro ="
    " held_micro - :held_micro,"
    " seq = seq - :lines, lifetime_spent_micro = lifetime_spent_micro - :spent_micro WHERE id ="
    " :wallet_id"
)
_CHARGE: Final = (
    "INSERT INTO charges (wallet_id, key, digest, operation, amount_micro, captured_micro, state,"
    " actor, feature,"
    " api_key_id, request_id, expires_at, created_at, settled_at, entry_seq)"
    " VALUES (:wallet_id, :key, :digest, :operation, :amount_micro, :amount_micro, :state,"
    " :actor, :feature,"
    " :api_key_id, :request_id, :expires_at, :now, :settled_at, :entry_seq)"
    " ON CONFLICT (wallet_id, key) DO NOTHING RETURNING id"
)
# All or nothing: where the sum falls short, there is no part.
_PARTS: Final = (
    "SELECT id, offset_micro,"
    " CASE WHEN offset_micro + remaining_micro <= :amount_micro THEN remaining_micro ELSE"
    " :amount_micro - offset_micro END AS part_micro"
    " FROM (SELECT id, remaining_micro, SUM(remaining_micro) OVER (ORDER BY priority, expires_at,"
    " CASE WHEN scope = '*' THEN 1 ELSE 0 END, id) - remaining_micro AS offset_micro,"
    " SUM(remaining_micro) OVER () AS total_micro FROM grants"
    " WHERE wallet_id = :wallet_id AND remaining_micro > 0 AND frozen_at IS NULL"
    " AND expires_at > :now AND scope IN ('*', :operation)) ordered"
    " WHERE total_micro >= :amount_micro AND offset_micro < :amount_micro"
)
_ENTRY: Final = (
    "INSERT INTO entries (wallet_id, seq, kind, account, amount_micro, balance_after_micro,"
    " charge_id,"
    " effective_at, recorded_at)"
)
_FACT: Final = "INSERT INTO outbox (topic, subject, payload, created_at)"

_SQLITE_CHARGE: Final = Direct(_CHARGE)
_SQLITE_ALLOCATE: Final = Direct(
    "INSERT INTO allocations (charge_id, grant_id, offset_micro, amount_micro, captured_micro)"
    " SELECT :charge_id, id, offset_micro, part_micro, part_micro FROM (" + _PARTS + ") parts"
)
_SQLITE_DRAW: Final = Direct(
    "UPDATE grants SET remaining_micro = grants.remaining_micro - allocations.amount_micro FROM"
    " allocations"
    " WHERE allocations.charge_id = :charge_id AND grants.id = allocations.grant_id"
)
_SQLITE_ENTRY: Final = Direct(
    _ENTRY
    + " VALUES (:wallet_id, :seq, 'spend', 'usage', -:amount_micro, :balance, :charge_id, :now,"
    " :now)"
)
_SQLITE_FACT: Final = Direct(_FACT + " VALUES ('captured', :wallet_id, :payload, :now)")
_SQLITE_NOTE: Final = Direct(
    "INSERT INTO notes (wallet_id, charge_id, text) VALUES (:wallet_id, :charge_id, :note)"
)
_UNCHARGE: Final = Direct("DELETE FROM charges WHERE id = :charge_id")

_POSTGRESQL_DRAW: Final = Direct(
    "WITH charge AS (" + _CHARGE + "), parts AS MATERIALIZED (" + _PARTS + "),"
    " allocated AS (INSERT INTO allocations (charge_id, grant_id, offset_micro, amount_micro,"
    " captured_micro)"
    " SELECT charge.id, parts.id, offset_micro, part_micro, part_micro FROM charge, parts"
    " RETURNING 1),"
    " drawn AS (UPDATE grants SET remaining_micro = remaining_micro - parts.part_micro FROM"
    " parts, charge"
    " WHERE grants.id = parts.id),"
    " line AS (" + _ENTRY + " SELECT :wallet_id, :seq, 'spend', 'usage', -:amount_micro, :balance,"
    " charge.id, :now, :now FROM charge WHERE :lines = 1 AND EXISTS (SELECT 1 FROM parts)),"
    " fact AS (" + _FACT + " SELECT 'captured', CAST(:wallet_id AS text),"
    " CAST(json_build_object('charge', charge.id, 'key', CAST(:key AS text),"
    " 'amount_micro', :amount_micro) AS text), :now"
    " FROM charge WHERE :lines = 1 AND EXISTS (SELECT 1 FROM parts)),"
    " noted AS (INSERT INTO notes (wallet_id, charge_id, text)"
    " SELECT :wallet_id, charge.id, CAST(:note AS text) FROM charge"
    " WHERE CAST(:note AS text) IS NOT NULL AND EXISTS (SELECT 1 FROM parts))"
    " SELECT (SELECT id FROM charge), (SELECT COUNT(*) FROM allocated)"
)


class Debit:
    """One spend or hold under way."""

    def __init__(self, connection: Connection, order: Order) -> None:
        if not connection.in_transaction():
            # SQLAlchemy would begin one by itself, but not for statements that go past it.
            raise RuntimeError("a verb runs inside its caller's transaction")
        self._connection = connection
        self._order = order
        self._values = _values(connection, order)

    def take(self) -> Taken | None:
        """Lock the wallet and take the amount from its balance; None where its guard says no."""
        row = _TAKE.row(self._connection, self._values)
        return None if row is None else Taken(*row)

    def untake(self, charge_id: int | None = None) -> None:
        """Undo ``take``, and the charge of a ``draw`` that found too little for its operation."""
        if charge_id is not None:
            _UNCHARGE.run(self._connection, {"charge_id": charge_id})
        _UNTAKE.run(self._connection, self._values)

    def draw(self, taken: Taken) -> tuple[int | None, bool]:
        """Write charge, allocations, note, and of a spend the line and the fact, after ``take``.

        Returns the charge's id, which is None when its key was there before, and whether enough
        credits may pay for this operation; if not, the charge alone was written.
        """
        self._values["seq"], self._values["balance"] = taken.seq, taken.balance
        self._values["entry_seq"] = None if self._order.is_hold else taken.seq
        if self._connection.dialect.name == "postgresql":
            row = _POSTGRESQL_DRAW.row(self._connection, self._values)
            assert row is not None
            return row[0], row[1] > 0
        return self._draw_in_steps()

    def _draw_in_steps(self) -> tuple[int | None, bool]:
        connection, values = self._connection, self._values
        row = _SQLITE_CHARGE.row(connection, values)
        if row is None:
            return None, True
        charge_id: int = row[0]
        values["charge_id"] = charge_id
        if not _SQLITE_ALLOCATE.run(connection, values):
            return charge_id, False
        _SQLITE_DRAW.run(connection, values)
        if not self._order.is_hold:
            fact = {
                "charge": charge_id,
                "key": self._order.key,
                "amount_micro": self._order.amount_micro,
            }
            values["payload"] = json.dumps(fact)
            _SQLITE_ENTRY.run(connection, values)
            _SQLITE_FACT.run(connection, values)
        if values["note"] is not None:
            _SQLITE_NOTE.run(connection, values)
        return charge_id, True


def _values(connection: Connection, order: Order) -> dict[str, object]:
    now = stored(connection, order.now)
    return {
        "wallet_id": order.wallet_id,
        "amount_micro": order.amount_micro,
        "held_micro": order.amount_micro if order.is_hold else 0,
        "spent_micro": 0 if order.is_hold else order.amount_micro,
        "lines": 0 if order.is_hold else 1,
        "until": stored(connection, order.expires_at or NEVER),
        "now": now,
        "key": order.key,
        "digest": order.digest,
        "operation": order.operation,
        "state": "open" if order.is_hold else "captured",
        "actor": order.actor,
        "feature": order.feature,
        "api_key_id": order.api_key_id,
        "request_id": order.request_id,
        "expires_at": stored(connection, order.expires_at),
        "settled_at": None if order.is_hold else now,
        "note": order.note or None,
    }
