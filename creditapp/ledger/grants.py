"""Grant credits; paid credits first pay what earlier grants owe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.clock import NEVER
from creditapp.ledger import expiry, lineage, locked_wallet
from creditapp.ledger.entry_types import DEFAULT_PRIORITY, PAID_SOURCES, kind_of_source
from creditapp.ledger.lineage import GrantRow
from creditapp.ledger.locked_wallet import LockedWallet
from creditapp.ledger.queries import Grant, grant_by_id
from creditapp.ledger.sql import read, write
from creditapp.logs import failures_logged

_INSERT: Final = read(
    "INSERT INTO grants (wallet_id, source, origin, amount_micro, remaining_micro, priority, scope,"
    " expires_at, paid_minor, currency, livemode, actor, created_at)"
    " VALUES (:wallet_id, :source, :origin, :amount_micro, :amount_micro, :priority, :scope,"
    " :expires_at, :paid_minor, :currency, :livemode, :actor, :now)"
    " ON CONFLICT (origin) DO NOTHING RETURNING id"
)
_DEBTORS: Final = read(
    "SELECT id, owed_micro FROM grants WHERE wallet_id = :wallet_id AND owed_micro > 0 ORDER BY id"
)
_DEBT_CHARGE: Final = read(
    "INSERT INTO charges (wallet_id, key, digest, operation, amount_micro, captured_micro, state,"
    " debt_grant_id, created_at, settled_at, entry_seq)"
    " VALUES (:wallet_id, :key, '', 'debt', :amount_micro, :amount_micro, 'captured',"
    " :debt_grant_id, :now, :now, :entry_seq) RETURNING id"
)
_DEBT_ALLOCATION: Final = write(
    "INSERT INTO allocations (charge_id, grant_id, offset_micro, amount_micro, captured_micro)"
    " VALUES (:charge_id, :grant_id, 0, :amount_micro, :amount_micro)"
)
_REPAY: Final = write(
    "UPDATE grants SET owed_micro = owed_micro - :amount_micro WHERE id = :grant_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """A grant to make; ``origin``, such as ``purchase:<id>``, is unique over all wallets."""

    amount_micro: int
    source: str
    origin: str
    priority: int | None = None
    """None is the priority of the source."""
    scope: str = "*"
    expires_at: datetime = NEVER
    paid_minor: int | None = None
    currency: str | None = None
    livemode: bool | None = None
    actor: str = ""
    note: str | None = None


def grant(connection: Connection, wallet_id: int, new: NewGrant, *, now: datetime) -> Grant | None:
    """Grant credits to a wallet, once for each ``origin`` over all wallets.

    Returns None if the origin was granted before, to any wallet: the webhook, the return page and
    the reconciler may all post ``purchase:<id>``. A paid grant first pays what grants of this
    wallet owe after a reversal, oldest first.
    """
    if new.amount_micro <= 0:
        raise ValueError("amount_micro must be positive")
    with failures_logged("grant failed", origin=new.origin, wallet=wallet_id):
        return _grant(connection, wallet_id, new, now)


def _grant(connection: Connection, wallet_id: int, new: NewGrant, now: datetime) -> Grant | None:
    amount_micro, source = new.amount_micro, new.source
    wallet = locked_wallet.lock(connection, wallet_id)
    expiry.sweep(connection, wallet, now)
    new_id = connection.execute(
        _INSERT,
        {
            **asdict(new),
            "priority": DEFAULT_PRIORITY[source] if new.priority is None else new.priority,
            "wallet_id": wallet_id,
            "now": now,
        },
    ).scalar()
    if new_id is None:
        return None
    grant_id = int(new_id)
    is_paid = source in PAID_SOURCES
    wallet.available_micro += amount_micro
    wallet.granted_micro += amount_micro
    wallet.purchased_micro += amount_micro if is_paid else 0
    wallet.welcome_micro += amount_micro if source == "welcome" else 0
    wallet.expect_expiry(new.expires_at)
    wallet.add_entry(
        kind_of_source(source), amount_micro, now=now, grant_id=grant_id, note=new.note
    )
    wallet.add_event("granted", now, grant=grant_id, source=source, amount_micro=amount_micro)
    if is_paid and wallet.owed_micro:
        _pay_debts(connection, wallet, lineage.grant_row(connection, grant_id), now)
    wallet.post(connection)
    return grant_by_id(connection, grant_id)


def _pay_debts(
    connection: Connection, wallet: LockedWallet, payer: GrantRow, now: datetime
) -> None:
    debtors = connection.execute(_DEBTORS, {"wallet_id": wallet.wallet_id}).all()
    for debtor_id, owed_micro in debtors:
        amount_micro = min(owed_micro, payer.remaining_micro)
        if not amount_micro:
            return
        charge_id = connection.execute(
            _DEBT_CHARGE,
            {
                "wallet_id": wallet.wallet_id,
                "key": f"debt:{debtor_id}:{payer.id}",
                "amount_micro": amount_micro,
                "debt_grant_id": debtor_id,
                "now": now,
                "entry_seq": wallet.seq + 1,
            },
        ).scalar_one()
        wallet.add_entry("debt", -amount_micro, now=now, grant_id=debtor_id, charge_id=charge_id)
        connection.execute(
            _DEBT_ALLOCATION,
            {"charge_id": charge_id, "grant_id": payer.id, "amount_micro": amount_micro},
        )
        connection.execute(_REPAY, {"grant_id": debtor_id, "amount_micro": amount_micro})
        payer.change(connection, remaining_micro=-amount_micro)
        wallet.available_micro -= amount_micro
        wallet.owed_micro -= amount_micro
