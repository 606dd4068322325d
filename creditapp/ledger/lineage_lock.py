"""Lock a grant's whole lineage: every wallet that holds a part of it.

Wallets are always locked in the order of their ids, so that two verbs that need several of the
same wallets cannot deadlock.
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
from creditapp.ledger.lineage import COLUMNS, MOMENTS, GrantRow
from creditapp.ledger.locked_wallet import LockedWallet
from creditapp.ledger.sql import read

_ROOT: Final = read("SELECT COALESCE(root_grant_id, id) FROM grants WHERE id = :grant_id")
_MEMBER: Final = "id = :root_id OR root_grant_id = :root_id"
_WALLETS: Final = read(f"SELECT DISTINCT wallet_id FROM grants WHERE {_MEMBER}")
_MEMBERS: Final = read(f"SELECT {COLUMNS} FROM grants WHERE {_MEMBER} ORDER BY id", *MOMENTS)


@dataclass
class LockedLineage:
    """Members of a lineage, the root first, and their locked wallets."""

    members: list[GrantRow]
    wallets: dict[int, LockedWallet]

    @property
    def root(self) -> GrantRow:
        """The grant that all others came from."""
        return self.members[0]

    def wallet(self, grant: GrantRow) -> LockedWallet:
        """Return the wallet of a member."""
        return self.wallets[grant.wallet_id]

    def post(self, connection: Connection) -> None:
        """Post every wallet."""
        for wallet in self.wallets.values():
            wallet.post(connection)


def lock_lineage(connection: Connection, grant_id: int, *, now: datetime) -> LockedLineage:
    """Lock the wallets of a grant's lineage and expire what is due in them.

    A transfer may move a child to another wallet while this waits for the locks. Then the locks
    are released (by a savepoint) and taken again in the order of all ids.
    """
    root_id = connection.execute(_ROOT, {"grant_id": grant_id}).scalar()
    if root_id is None:
        raise NotFound
    parameters = {"root_id": root_id}
    wallet_ids = set(connection.execute(_WALLETS, parameters).scalars())
    while True:
        savepoint = connection.begin_nested()
        wallets = lock_in_order(connection, wallet_ids)
        missing = set(connection.execute(_WALLETS, parameters).scalars()) - wallet_ids
        if not missing:
            savepoint.commit()
            break
        savepoint.rollback()
        wallet_ids |= missing
    for wallet in wallets.values():
        expiry.sweep(connection, wallet, now)
    members = [GrantRow(*row) for row in connection.execute(_MEMBERS, parameters)]
    return LockedLineage(members, wallets)


def lock_in_order(connection: Connection, wallet_ids: Iterable[int]) -> dict[int, LockedWallet]:
    """Lock several wallets, in the order of their ids."""
    return {
        wallet_id: locked_wallet.lock(connection, wallet_id) for wallet_id in sorted(wallet_ids)
    }
