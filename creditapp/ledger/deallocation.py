"""Return credits from a charge to the grants they came from.

Capture, release and refund are one operation: *keep m of n*. An allocation has an offset within
its charge, so the captured part of each follows from m alone, and settling in steps has the same
result as settling at once. Returned credits first pay what their grant owes, then become spendable
again; if the grant has expired meanwhile, as a new grant that lives for some days.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.ledger import lineage
from creditapp.ledger.locked_wallet import LockedWallet
from creditapp.ledger.sql import read, write

_CAPTURED: Final = (
    "CASE WHEN :captured_micro <= offset_micro THEN 0"
    " WHEN :captured_micro >= offset_micro + amount_micro THEN amount_micro"
    " ELSE :captured_micro - offset_micro END"
)
_PLAN: Final = read(
    f"SELECT grant_id, captured_micro - ({_CAPTURED}) FROM allocations"
    f" WHERE charge_id = :charge_id AND captured_micro > ({_CAPTURED}) ORDER BY offset_micro"
)
_APPLY: Final = write(
    f"UPDATE allocations SET captured_micro = ({_CAPTURED})"
    f" WHERE charge_id = :charge_id AND captured_micro > ({_CAPTURED})"
)


@dataclass(frozen=True)
class Deallocation:
    """An amount that returns to a grant."""

    grant_id: int
    amount_micro: int


def plan(connection: Connection, charge_id: int, captured_micro: int) -> list[Deallocation]:
    """Return how much each grant gets back if ``captured_micro`` of the charge stay captured."""
    rows = connection.execute(_PLAN, {"charge_id": charge_id, "captured_micro": captured_micro})
    return [Deallocation(grant_id, amount_micro) for grant_id, amount_micro in rows]


def apply(
    connection: Connection,
    wallet: LockedWallet,
    charge_id: int,
    captured_micro: int,
    parts: list[Deallocation],
    *,
    now: datetime,
    at: datetime | None = None,
) -> None:
    """Return the planned parts to their grants; the caller has added the entry.

    ``at`` is the moment of the return if it is not ``now``: a hold that lapsed last night and is
    swept today returned last night.
    """
    if not parts:
        return
    connection.execute(_APPLY, {"charge_id": charge_id, "captured_micro": captured_micro})
    for part in parts:
        grant = lineage.grant_row(connection, part.grant_id)
        repaid_micro = min(part.amount_micro, grant.owed_micro)
        rest_micro = part.amount_micro - repaid_micro
        late_micro = rest_micro if grant.has_expired(wallet.clock(at or now)) else 0
        if late_micro:
            lineage.return_as_new_grant(connection, wallet, grant, late_micro, at=at or now)
        grant.change(
            connection,
            remaining_micro=rest_micro - late_micro,
            revoked_micro=repaid_micro,
            transferred_micro=late_micro,
            owed_micro=-repaid_micro,
        )
        if rest_micro > late_micro:
            wallet.add_unheld(rest_micro, frozen=grant.frozen_at is not None)
            if grant.frozen_at is None:
                wallet.expect_expiry(grant.expires_at)
        if repaid_micro:
            wallet.owed_micro -= repaid_micro
            wallet.add_entry(
                "revoke", -repaid_micro, now=now, grant_id=grant.id, charge_id=charge_id
            )
