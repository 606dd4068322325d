"""A wallet under its lock: the one place that writes entries and balances.

``lock`` updates the wallet's row, which is the lock on both databases. A verb then changes grants
and charges, records here what that means for the balances, and ends with ``post``. Balances change
by differences and are never recomputed from the rows: otherwise a row that was altered by hand
would repair its own trace.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.errors import NotFound
from creditapp.ledger import outbox
from creditapp.ledger.entry_types import ACCOUNT_OF_KIND
from creditapp.ledger.sql import read, write

_COLUMNS: Final = (
    "id, seq, available_micro, held_micro, frozen_micro, owed_micro, next_expiry_at, frozen_at"
)

_LOCK: Final = read(
    f"UPDATE wallets SET seq = seq WHERE id = :wallet_id RETURNING {_COLUMNS}",
    "next_expiry_at",
    "frozen_at",
)
_LOCK_OF_CHARGE: Final = read(
    "UPDATE wallets SET seq = seq"
    " WHERE id = (SELECT wallet_id FROM charges WHERE id = :charge_id)"
    f" RETURNING {_COLUMNS}",
    "next_expiry_at",
    "frozen_at",
)
_INSERT_ENTRY: Final = write(
    "INSERT INTO entries (wallet_id, seq, kind, account, amount_micro, balance_after_micro,"
    " charge_id, grant_id, effective_at, recorded_at)"
    " VALUES (:wallet_id, :seq, :kind, :account, :amount_micro, :balance_after_micro,"
    " :charge_id, :grant_id, :effective_at, :recorded_at)"
)
_INSERT_NOTE: Final = write(
    "INSERT INTO notes (wallet_id, seq, text) VALUES (:wallet_id, :seq, :text)"
)
_POST: Final = write(
    "UPDATE wallets SET seq = :seq, available_micro = :available_micro, held_micro = :held_micro,"
    " frozen_micro = :frozen_micro, owed_micro = :owed_micro, next_expiry_at = :next_expiry_at,"
    " frozen_at = :frozen_at,"
    " lifetime_granted_micro = lifetime_granted_micro + :granted_micro,"
    " lifetime_spent_micro = lifetime_spent_micro + :spent_micro,"
    " lifetime_welcome_micro = lifetime_welcome_micro + :welcome_micro,"
    " lifetime_purchased_micro = lifetime_purchased_micro + :purchased_micro"
    " WHERE id = :wallet_id"
)


@dataclass
class LockedWallet:
    """One locked wallet: its future balances, and the entries that explain them."""

    wallet_id: int
    seq: int
    available_micro: int
    held_micro: int
    frozen_micro: int
    owed_micro: int
    next_expiry_at: datetime
    frozen_at: datetime | None
    granted_micro: int = 0
    spent_micro: int = 0
    welcome_micro: int = 0
    purchased_micro: int = 0
    _entries: list[dict[str, object]] = field(default_factory=list)
    _notes: list[dict[str, object]] = field(default_factory=list)
    _events: list[dict[str, object]] = field(default_factory=list)
    _balance_micro: int = 0

    def __post_init__(self) -> None:
        self._balance_micro = self.total_micro

    @property
    def total_micro(self) -> int:
        """Total balance, spendable or not."""
        return self.available_micro + self.held_micro + self.frozen_micro

    def clock(self, now: datetime) -> datetime:
        """Return the moment up to which credits expire: a frozen wallet's clock is stopped."""
        return now if self.frozen_at is None else min(now, self.frozen_at)

    def add_unheld(self, amount_micro: int, *, frozen: bool) -> None:
        """Add unheld credits (or, if negative, subtract them)."""
        if frozen:
            self.frozen_micro += amount_micro
        else:
            self.available_micro += amount_micro

    def expect_expiry(self, at: datetime) -> None:
        """Record that something in this wallet may expire at ``at``."""
        self.next_expiry_at = min(self.next_expiry_at, at)

    def add_entry(
        self,
        kind: str,
        amount_micro: int,
        *,
        now: datetime,
        charge_id: int | None = None,
        grant_id: int | None = None,
        effective_at: datetime | None = None,
        note: str | None = None,
    ) -> int:
        """Add an entry to the history and return its number."""
        self.seq += 1
        self._balance_micro += amount_micro
        self._entries.append(
            {
                "wallet_id": self.wallet_id,
                "seq": self.seq,
                "kind": kind,
                "account": ACCOUNT_OF_KIND[kind],
                "amount_micro": amount_micro,
                "balance_after_micro": self._balance_micro,
                "charge_id": charge_id,
                "grant_id": grant_id,
                "effective_at": effective_at or now,
                "recorded_at": now,
            }
        )
        if note:
            self._notes.append({"wallet_id": self.wallet_id, "seq": self.seq, "text": note})
        return self.seq

    def add_event(self, topic: str, now: datetime, **payload: object) -> None:
        """Add an event to the outbox."""
        self._events.append(outbox.event_row(topic, self.wallet_id, now, payload))

    def post(self, connection: Connection) -> None:
        """Write entries, notes, events and balances. The entries must explain the balance."""
        if self._balance_micro != self.total_micro:
            raise AssertionError(
                f"wallet {self.wallet_id}: its entries add up to {self._balance_micro},"
                f" its parts to {self.total_micro}"
            )
        if self._entries:
            connection.execute(_INSERT_ENTRY, _one_or_many(self._entries))
        if self._notes:
            connection.execute(_INSERT_NOTE, _one_or_many(self._notes))
        if self._events:
            outbox.insert(connection, self._events)
        connection.execute(_POST, vars(self))
        self._entries, self._notes, self._events = [], [], []
        self.granted_micro = self.spent_micro = self.welcome_micro = self.purchased_micro = 0


def _one_or_many(rows: list[dict[str, object]]) -> dict[str, object] | list[dict[str, object]]:
    # A list makes the driver prepare for many; most verbs write one row.
    return rows[0] if len(rows) == 1 else rows


def lock(connection: Connection, wallet_id: int) -> LockedWallet:
    """Lock a wallet until the transaction ends; raise ``NotFound`` if there is none."""
    return _locked(connection.execute(_LOCK, {"wallet_id": wallet_id}).one_or_none())


def lock_of_charge(connection: Connection, charge_id: int) -> LockedWallet:
    """Lock a charge's wallet until the transaction ends; raise ``NotFound`` without a charge."""
    return _locked(connection.execute(_LOCK_OF_CHARGE, {"charge_id": charge_id}).one_or_none())


def _locked(row: Sequence[object] | None) -> LockedWallet:
    if row is None:
        raise NotFound
    return LockedWallet(*row)  # type: ignore[arg-type]  # the fields have the columns' order
