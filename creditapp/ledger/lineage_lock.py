"""A grant's whole family under the locks of every wallet that it lives in.

Wallets are locked in the order of their ids, always, so that two verbs that need several of the
same wallets cannot wait for each other.
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.errors import NotFound
from creditapp.ledger import expiry, locked_wallet
from creditapp.ledger.lineage import COLUMNS, GrantRow
from creditapp.ledger.locked_wallet import LockedWallet
from creditapp.ledger.sql import read

_ROOT: Final = read("SELECT COALESCE(root_grant_id, id) FROM grants WHERE id = :grant_id")
_MEMBERS: Final = "id = :root_id OR root_grant_id = :root_id"
_WALLETS: Final = read(f"SELECT DISTINCT wallet_id FROM grants WHERE {_MEMBERS}")
_FAMILY: Final = read(
    f"SELECT {COLUMNS} FROM grants WHERE {_MEMBERS} ORDER BY id",
    "expires_at",
    "frozen_at",
    "created_at",
)


@dataclass
class LockedLineage:
    """The members, the root first, and their locked wallets."""

    members: list[GrantRow]
    wallets: dict[int, LockedWallet]

    @property
    def root(self) -> GrantRow:
        """The grant that all others came from."""
        return self.members[0]

    def wallet(self, grant: GrantRow) -> LockedWallet:
        """Return the books of the wallet in which a member lies."""
        return self.wallets[grant.wallet_id]

    def post(self, connection: Connection) -> None:
        """Post every wallet."""
        for wallet in self.wallets.values():
            wallet.post(connection)


def lock_lineage(connection: Connection, grant_id: int, *, now: datetime) -> LockedLineage:
    """Lock the wallets of a grant's family and expire what is due in them.

    A transfer may carry a child to one more wallet while this waits for the locks. Then the locks
    are given back (a savepoint does that) and taken again in the order of all ids.
    """
    root_id = connection.execute(_ROOT, {"grant_id": grant_id}).scalar()
    if root_id is None:
        raise NotFound
    parameters = {"root_id": root_id}
    wanted = set(connection.execute(_WALLETS, parameters).scalars())
    while True:
        attempt = connection.begin_nested()
        locked = lock_in_order(connection, wanted)
        missing = set(connection.execute(_WALLETS, parameters).scalars()) - wanted
        if not missing:
            attempt.commit()
            break
        attempt.rollback()
        wanted |= missing
    for wallet in locked.values():
        expiry.sweep(connection, wallet, now)
    members = [GrantRow(*row) for row in connection.execute(_FAMILY, parameters)]
    return LockedLineage(members, locked)


def lock_in_order(connection: Connection, wallet_ids: Iterable[int]) -> dict[int, LockedWallet]:
    """Lock several wallets."""
    return {
        wallet_id: locked_wallet.lock(connection, wallet_id) for wallet_id in sorted(wallet_ids)
    }
