"""Charges as the callers see them."""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row

from creditapp.errors import NotFound
from creditapp.ledger.sql import loaded, read

COLUMNS: Final = (
    "id, wallet_id, key, digest, operation, amount_micro, captured_micro, state, actor, feature,"
    " api_key_id, request_id, debt_grant_id, expires_at, created_at, settled_at, entry_seq"
)
MOMENTS: Final = ("expires_at", "created_at", "settled_at")
_NAMES: Final = COLUMNS.split(", ")
KEY_COLUMN: Final = _NAMES.index("key")
_MOMENT_COLUMNS: Final = tuple(_NAMES.index(name) for name in MOMENTS)

_AVAILABLE: Final = "(SELECT available_micro FROM wallets WHERE wallets.id = charges.wallet_id)"

_BY_ID: Final = read(f"SELECT {COLUMNS}, {_AVAILABLE} FROM charges WHERE id = :charge_id", *MOMENTS)
_BY_KEY: Final = read(
    f"SELECT {COLUMNS}, {_AVAILABLE} FROM charges WHERE wallet_id = :wallet_id AND key = :key",
    *MOMENTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much the charges of one API key may take together."""

    limit_micro: int
    since: datetime
    """Charges made earlier do not count."""
    resets_at: datetime | None = None
    """When the next period begins; None for a budget that never begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCharge:
    """A charge to make by ``spend`` or ``hold``.

    ``key`` names the thing that is paid for, within the wallet; ``digest`` is that of the request.
    When the balance falls below ``low_micro``, the outbox gets ``low_balance``. ``budget`` is that
    of ``api_key_id``, whose wallet this is; ``max_micro`` is the most that its caller allows.
    """

    amount_micro: int
    key: str
    digest: str
    operation: str
    actor: str = ""
    feature: str = ""
    api_key_id: str | None = None
    budget: Budget | None = None
    max_micro: int | None = None
    request_id: str | None = None
    low_micro: int = 0
    note: str | None = None


@dataclass(frozen=True)
class Charge:
    """Credits that are taken (``captured``), set aside (``open``) or returned (``released``)."""

    id: int
    wallet_id: int
    key: str
    digest: str
    operation: str
    amount_micro: int
    captured_micro: int
    state: str
    actor: str
    feature: str
    api_key_id: str | None
    request_id: str | None
    debt_grant_id: int | None
    expires_at: datetime | None
    created_at: datetime
    settled_at: datetime | None
    entry_seq: int | None
    """Number of the entry that this wrote; an open hold has none."""
    available_micro: int
    """Spendable balance of the wallet after this."""
    replayed: bool = False
    """Whether the same key had done this before."""

    @property
    def entry_id(self) -> str | None:
        """Public id of the entry that this wrote."""
        return None if self.entry_seq is None else entry_id(self.wallet_id, self.entry_seq)

    @property
    def is_debt(self) -> bool:
        """Whether this paid what a grant owed, which is no usage."""
        return self.debt_grant_id is not None


def from_row(row: Row[*tuple[Any, ...]], available_micro: int) -> Charge:
    """Return the charge of a row of ``COLUMNS`` with its wallet's spendable balance."""
    return Charge(*(*row, available_micro))


def from_driver(row: tuple[Any, ...], available_micro: int) -> Charge:
    """Return the charge of a row that the driver returned, as ``from_row``."""
    values = list(row)
    for column in _MOMENT_COLUMNS:
        values[column] = loaded(values[column])
    return Charge(*(*values, available_micro))


def charge_by_id(connection: Connection, charge_id: int) -> Charge:
    """Return a charge; raise ``NotFound`` if there is none."""
    row = connection.execute(_BY_ID, {"charge_id": charge_id}).one_or_none()
    if row is None:
        raise NotFound
    return Charge(*row)


def find_charge(connection: Connection, wallet_id: int, key: str) -> Charge | None:
    """Return the charge with a key in a wallet, or None."""
    row = connection.execute(_BY_KEY, {"wallet_id": wallet_id, "key": key}).one_or_none()
    return None if row is None else Charge(*row)


def entry_id(wallet_id: int, seq: int) -> str:
    """Return the public id of an entry."""
    return f"ent_{wallet_id}_{seq}"
