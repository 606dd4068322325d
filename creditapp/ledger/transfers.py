"""Credits that move to another wallet and stay what they were.

A transfer splits grants. A child keeps source, scope, expiry, its share of the price and its root,
so that a chargeback follows it. What was free does not move, and what was paid moves only when
the payment has had time to be contested.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from creditapp.errors import IdempotencyKeyReused
from creditapp.ledger import expiry, lineage, lineage_lock
from creditapp.ledger.entry_types import PAID_SOURCES
from creditapp.ledger.lineage import COLUMNS, GrantRow
from creditapp.ledger.refusals import AccountFrozen, InsufficientCredits
from creditapp.ledger.sql import read

TRANSFER_DELAY: Final = timedelta(days=14)
"""How old a paid grant is before it may be transferred: stolen cards are noticed by then."""

_PAID: Final = ", ".join(f"'{source}'" for source in PAID_SOURCES)
_TRANSFERABLE: Final = read(
    f"SELECT {', '.join(f'g.{column}' for column in COLUMNS.split(', '))} FROM grants g"
    " LEFT JOIN grants root ON root.id = g.root_grant_id"
    " WHERE g.wallet_id = :wallet_id AND g.remaining_micro > 0 AND g.frozen_at IS NULL"
    f" AND g.expires_at > :now AND g.source IN ({_PAID})"
    " AND COALESCE(root.created_at, g.created_at) <= :before"
    " ORDER BY g.priority, g.expires_at, CASE WHEN g.scope = '*' THEN 1 ELSE 0 END, g.id",
    "expires_at",
    "frozen_at",
    "created_at",
)
_EARLIER: Final = read(
    "SELECT id, wallet_id, amount_micro FROM grants WHERE origin = :first"
    " OR (wallet_id = (SELECT wallet_id FROM grants WHERE origin = :first)"
    " AND SUBSTR(origin, 1, :length) = :prefix) ORDER BY id"
)


@dataclass(frozen=True)
class Transfer:
    """What moved, and the grants that hold it now."""

    to_wallet_id: int
    amount_micro: int
    grant_ids: list[int]
    replayed: bool = False


def transfer(
    connection: Connection,
    from_wallet_id: int,
    to_wallet_id: int,
    amount_micro: int,
    *,
    key: str,
    now: datetime,
    min_age: timedelta = TRANSFER_DELAY,
    note: str | None = None,
) -> Transfer:
    """Move ``amount_micro`` of paid credits, in the order in which they would be spent.

    ``key`` is unique among the sender's transfers: again with the same receiver and amount it
    answers the first transfer, otherwise ``IdempotencyKeyReused``. ``InsufficientCredits`` says
    how much may move; ``AccountFrozen`` when the sender's account is frozen.
    """
    if amount_micro <= 0 or from_wallet_id == to_wallet_id:
        raise ValueError("a transfer moves more than nothing, to another wallet")
    wallets = lineage_lock.lock_in_order(connection, (from_wallet_id, to_wallet_id))
    prefix = f"transfer:{from_wallet_id}:{key}:"
    earlier = _earlier(connection, prefix)
    if earlier is not None:
        if (earlier.to_wallet_id, earlier.amount_micro) != (to_wallet_id, amount_micro):
            raise IdempotencyKeyReused
        return earlier
    sender, receiver = wallets[from_wallet_id], wallets[to_wallet_id]
    if sender.frozen_at is not None:
        raise AccountFrozen
    for wallet in (sender, receiver):
        expiry.sweep(connection, wallet, now)
    parts = _parts(connection, from_wallet_id, amount_micro, now, min_age)
    children = []
    for number, (parent, part) in enumerate(parts, start=1):
        child_id = lineage.branch(
            connection,
            parent,
            part,
            wallet_id=to_wallet_id,
            origin=f"{prefix}{number}",
            now=now,
        )
        parent.change(connection, remaining_micro=-part, transferred_micro=part)
        sender.entry("transfer_out", -part, now=now, grant_id=parent.id, note=note)
        receiver.entry("transfer_in", part, now=now, grant_id=child_id, note=note)
        receiver.expires(parent.expires_at)
        children.append(child_id)
    sender.available_micro -= amount_micro
    receiver.available_micro += amount_micro
    receiver.granted_micro += amount_micro
    sender.fact("transferred", now, to=to_wallet_id, amount_micro=amount_micro)
    for wallet in wallets.values():
        wallet.post(connection)
    return Transfer(to_wallet_id, amount_micro, children)


def _parts(
    connection: Connection, wallet_id: int, amount_micro: int, now: datetime, min_age: timedelta
) -> list[tuple[GrantRow, int]]:
    rows = connection.execute(
        _TRANSFERABLE, {"wallet_id": wallet_id, "now": now, "before": now - min_age}
    )
    parts = []
    missing = amount_micro
    transferable = 0
    for parent in (GrantRow(*row) for row in rows):
        part = min(missing, parent.remaining_micro)
        transferable += parent.remaining_micro
        missing -= part
        if part:
            parts.append((parent, part))
    if missing:
        raise InsufficientCredits(amount_micro, transferable)
    return parts


def _earlier(connection: Connection, prefix: str) -> Transfer | None:
    rows = connection.execute(
        _EARLIER, {"first": f"{prefix}1", "length": len(prefix), "prefix": prefix}
    ).all()
    if not rows:
        return None
    return Transfer(
        rows[0].wallet_id,
        sum(row.amount_micro for row in rows),
        [row.id for row in rows],
        replayed=True,
    )
