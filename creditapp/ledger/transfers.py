"""Transfer credits to another wallet.

A transfer splits grants. A child keeps source, scope, expiry, its share of the price and its root,
so that a chargeback follows it. Free credits are not transferable, and paid credits only after a
delay in which the payment can be disputed.
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
from creditapp.ledger.lineage import COLUMNS, MOMENTS, GrantRow
from creditapp.ledger.refusals import AccountFrozen, InsufficientCredits
from creditapp.ledger.sql import read

TRANSFER_DELAY: Final = timedelta(days=14)
"""Minimum age of a paid grant that is transferred: stolen cards are noticed by then."""

_PAID: Final = ", ".join(f"'{source}'" for source in PAID_SOURCES)
_TRANSFERABLE: Final = read(
    f"SELECT {', '.join(f'g.{column}' for column in COLUMNS.split(', '))} FROM grants g"
    " LEFT JOIN grants root ON root.id = g.root_grant_id"
    " WHERE g.wallet_id = :wallet_id AND g.remaining_micro > 0 AND g.frozen_at IS NULL"
    f" AND g.expires_at > :now AND g.source IN ({_PAID})"
    " AND COALESCE(root.created_at, g.created_at) <= :before"
    " ORDER BY g.priority, g.expires_at, CASE WHEN g.scope = '*' THEN 1 ELSE 0 END, g.id",
    *MOMENTS,
)
_CHILDREN: Final = read(
    "SELECT id, wallet_id, amount_micro FROM grants WHERE origin = :first"
    " OR (wallet_id = (SELECT wallet_id FROM grants WHERE origin = :first)"
    " AND SUBSTR(origin, 1, :length) = :prefix) ORDER BY id"
)


@dataclass(frozen=True)
class Transfer:
    """A transfer, with the grants that hold its credits now."""

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

    ``key`` is unique among the sender's transfers: a repeat with the same receiver and amount
    returns the first transfer, any other raises ``IdempotencyKeyReused``. Raises
    ``InsufficientCredits`` with the transferable balance, and ``AccountFrozen`` if the sender's
    account is frozen.
    """
    if amount_micro <= 0 or from_wallet_id == to_wallet_id:
        raise ValueError("a transfer moves a positive amount to another wallet")
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
    child_ids = []
    for number, (parent, part_micro) in enumerate(parts, start=1):
        child_id = lineage.create_child(
            connection,
            parent,
            part_micro,
            wallet_id=to_wallet_id,
            origin=f"{prefix}{number}",
            now=now,
        )
        parent.change(connection, remaining_micro=-part_micro, transferred_micro=part_micro)
        sender.add_entry("transfer_out", -part_micro, now=now, grant_id=parent.id, note=note)
        receiver.add_entry("transfer_in", part_micro, now=now, grant_id=child_id, note=note)
        receiver.expect_expiry(parent.expires_at)
        child_ids.append(child_id)
    sender.available_micro -= amount_micro
    receiver.available_micro += amount_micro
    receiver.granted_micro += amount_micro
    sender.add_event("transferred", now, to=to_wallet_id, amount_micro=amount_micro)
    for wallet in wallets.values():
        wallet.post(connection)
    return Transfer(to_wallet_id, amount_micro, child_ids)


def _parts(
    connection: Connection, wallet_id: int, amount_micro: int, now: datetime, min_age: timedelta
) -> list[tuple[GrantRow, int]]:
    rows = connection.execute(
        _TRANSFERABLE, {"wallet_id": wallet_id, "now": now, "before": now - min_age}
    )
    parts = []
    missing_micro = amount_micro
    transferable_micro = 0
    for parent in (GrantRow(*row) for row in rows):
        part_micro = min(missing_micro, parent.remaining_micro)
        transferable_micro += parent.remaining_micro
        missing_micro -= part_micro
        if part_micro:
            parts.append((parent, part_micro))
    if missing_micro:
        raise InsufficientCredits(amount_micro, transferable_micro)
    return parts


def _earlier(connection: Connection, prefix: str) -> Transfer | None:
    children = connection.execute(
        _CHILDREN, {"first": f"{prefix}1", "length": len(prefix), "prefix": prefix}
    ).all()
    if not children:
        return None
    return Transfer(
        children[0].wallet_id,
        sum(child.amount_micro for child in children),
        [child.id for child in children],
        replayed=True,
    )
