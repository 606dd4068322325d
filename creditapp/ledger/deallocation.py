"""What a charge gives back, and where it goes.

Capture, release and refund are one thing: *keep m of n*. An allocation lies at an offset within
its charge, so the kept part of each follows from m alone, and settling in steps comes to the same
as settling at once. What returns pays what its grant owes, then becomes spendable again; if the
grant has expired meanwhile, as a grant of its own with some days to live.
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

_KEPT: Final = (
    "CASE WHEN :captured_micro <= offset_micro THEN 0 WHEN :captured_micro >= offset_micro +"
    " amount_micro THEN amount_micro"
    " ELSE :captured_micro - offset_micro END"
)
_RETURNING: Final = read(
    f"SELECT grant_id, captured_micro - ({_KEPT}) FROM allocations"
    f" WHERE charge_id = :charge_id AND captured_micro > ({_KEPT}) ORDER BY offset_micro"
)
_KEEP: Final = write(
    f"UPDATE allocations SET captured_micro = ({_KEPT}) WHERE charge_id = :charge_id AND"
    f" captured_micro > ({_KEPT})"
)


@dataclass(frozen=True)
class Return:
    """An amount on its way back to a grant."""

    grant_id: int
    amount_micro: int


def of_charge(connection: Connection, charge_id: int, captured_micro: int) -> list[Return]:
    """Return what goes back to which grant when the charge keeps ``kept``."""
    rows = connection.execute(
        _RETURNING, {"charge_id": charge_id, "captured_micro": captured_micro}
    )
    return [Return(grant_id, amount_micro) for grant_id, amount_micro in rows]


def give_back(
    connection: Connection,
    wallet: LockedWallet,
    charge_id: int,
    captured_micro: int,
    returning: list[Return],
    *,
    now: datetime,
    at: datetime | None = None,
) -> None:
    """Put back what ``of_charge`` found; the caller has written the entry that says so.

    ``at`` is the moment of the return where it is not now: a hold that lapsed last night and is
    found today returned last night.
    """
    if not returning:
        return
    connection.execute(_KEEP, {"charge_id": charge_id, "captured_micro": captured_micro})
    for back in returning:
        grant = lineage.find(connection, back.grant_id)
        pays = min(back.amount_micro, grant.owed_micro)
        rest = back.amount_micro - pays
        transferred_micro = rest if rest and grant.has_expired(wallet.clock(at or now)) else 0
        if transferred_micro:
            lineage.restore_late(connection, wallet, grant, transferred_micro, at=at or now)
        grant.change(
            connection,
            remaining_micro=rest - transferred_micro,
            revoked_micro=pays,
            transferred_micro=transferred_micro,
            owed_micro=-pays,
        )
        if rest - transferred_micro:
            wallet.add(rest - transferred_micro, frozen=grant.frozen_at is not None)
            if grant.frozen_at is None:
                wallet.expires(grant.expires_at)
        if pays:
            wallet.owed_micro -= pays
            wallet.entry("revoke", -pays, now=now, grant_id=grant.id, charge_id=charge_id)
