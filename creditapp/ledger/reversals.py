"""Reverse a grant when its payment is refunded or disputed: revoke, freeze, unfreeze.

Payments pass how much of a grant is reversed *in total*, so that events may come twice, late or in
any order; this module posts the difference from what was reversed before. A reversal reaches the
grant's whole lineage: unspent credits go first, expired credits are gone already, and spent credits
become ``owed``, in the wallet that spent them.
"""

# SQL is joined from constants of these modules only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.ledger import deallocation, lineage, lineage_lock
from creditapp.ledger.lineage import GrantRow
from creditapp.ledger.lineage_lock import LockedLineage
from creditapp.ledger.sql import read, write

_DEBTS: Final = read(
    "SELECT id, wallet_id, captured_micro, debt_grant_id FROM charges"
    " WHERE captured_micro > 0 AND debt_grant_id IN"
    " (SELECT id FROM grants WHERE id = :root_id OR root_grant_id = :root_id) ORDER BY id"
)
_REDUCE_DEBT: Final = write(
    "UPDATE charges SET captured_micro = :captured_micro WHERE id = :charge_id"
)
_TARGET: Final = write(
    "UPDATE grants SET revoked_target_micro = :target_micro WHERE id = :grant_id"
)
_FREEZE: Final = write("UPDATE grants SET frozen_at = :now WHERE id = :grant_id")
_UNFREEZE: Final = write(
    "UPDATE grants SET frozen_at = NULL, expires_at = :expires_at WHERE id = :grant_id"
)


@dataclass(frozen=True)
class Reversal:
    """A grant and its lineage after a revocation, in microcredits."""

    target_micro: int
    """Amount to be revoked in total, as requested."""
    revoked_micro: int
    """Amount taken back."""
    owed_micro: int
    """Amount still owed, because it was spent."""
    repaid_micro: int
    """Amount that later paid grants have repaid."""


@dataclass(frozen=True)
class _Debt:
    charge_id: int
    wallet_id: int
    captured_micro: int
    debtor_id: int


def revoke(
    connection: Connection, grant_id: int, total_micro: int, *, now: datetime, reason: str
) -> Reversal:
    """Bring the revoked amount of a grant, over its whole lineage, to ``total_micro``.

    More than before takes unspent credits first (the root's, then its children's); spent credits
    are owed. Less than before (a refund failed, a dispute was won) first cancels what is owed, then
    undoes what later grants repaid, then restores the credits themselves. The same total again
    changes nothing. Raises ``ValueError`` for a total that the grant never had.
    """
    locked = lineage_lock.lock_lineage(connection, grant_id, now=now)
    root = locked.root
    if not 0 <= total_micro <= root.amount_micro:
        raise ValueError(f"of grant {root.id} between 0 and {root.amount_micro} can be revoked")
    debts = _debts(connection, root.id)
    difference_micro = total_micro - root.revoked_target_micro
    if difference_micro > 0:
        _take(connection, locked, debts, difference_micro, now, reason)
    elif difference_micro < 0:
        _restore(connection, locked, debts, -difference_micro, now, reason)
    if difference_micro:
        connection.execute(_TARGET, {"grant_id": root.id, "target_micro": total_micro})
        topic = "revoked" if difference_micro > 0 else "restored"
        locked.wallet(root).add_event(
            topic, now, grant=root.id, amount_micro=abs(difference_micro), reason=reason
        )
    locked.post(connection)
    return Reversal(
        total_micro,
        sum(member.revoked_micro for member in locked.members),
        sum(member.owed_micro for member in locked.members),
        sum(debt.captured_micro for debt in _debts(connection, root.id)),
    )


def freeze(connection: Connection, grant_id: int, *, now: datetime) -> None:
    """Make a grant and its lineage unspendable in every wallet, until ``unfreeze``."""
    locked = lineage_lock.lock_lineage(connection, grant_id, now=now)
    for member in locked.members:
        if member.frozen_at is not None:
            continue
        connection.execute(_FREEZE, {"grant_id": member.id, "now": now})
        wallet = locked.wallet(member)
        wallet.available_micro -= member.remaining_micro
        wallet.frozen_micro += member.remaining_micro
    locked.post(connection)


def unfreeze(connection: Connection, grant_id: int, *, now: datetime) -> None:
    """Make a grant and its lineage spendable again, and add the frozen time to their expiry."""
    locked = lineage_lock.lock_lineage(connection, grant_id, now=now)
    for member in locked.members:
        if member.frozen_at is None:
            continue
        wallet = locked.wallet(member)
        # While the account is frozen too, unfreezing it adds the time since it was frozen.
        until = wallet.clock(now)
        expires_at = member.expires_at
        if until > member.frozen_at and not member.has_expired(now):
            expires_at = lineage.extend_expiry(expires_at, until - member.frozen_at)
        connection.execute(_UNFREEZE, {"grant_id": member.id, "expires_at": expires_at})
        wallet.frozen_micro -= member.remaining_micro
        wallet.available_micro += member.remaining_micro
        if member.remaining_micro:
            wallet.expect_expiry(expires_at)
    locked.post(connection)


def _debts(connection: Connection, root_id: int) -> list[_Debt]:
    return [_Debt(*row) for row in connection.execute(_DEBTS, {"root_id": root_id})]


def _take(
    connection: Connection,
    locked: LockedLineage,
    debts: list[_Debt],
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    repaid_micro = {member.id: 0 for member in locked.members}
    for debt in debts:
        repaid_micro[debt.debtor_id] += debt.captured_micro
    absorbed_micro = locked.root.revoked_target_micro - sum(
        member.revoked_micro + member.owed_micro + repaid_micro[member.id]
        for member in locked.members
    )
    expired_micro = sum(member.expired_micro for member in locked.members)
    for member in locked.members:
        unspent_micro = min(amount_micro, member.remaining_micro)
        if unspent_micro:
            member.change(connection, remaining_micro=-unspent_micro, revoked_micro=unspent_micro)
            wallet = locked.wallet(member)
            wallet.add_unheld(-unspent_micro, frozen=member.frozen_at is not None)
            wallet.add_entry("revoke", -unspent_micro, now=now, grant_id=member.id, note=reason)
            amount_micro -= unspent_micro
    # Expired credits are gone already: nobody owes them.
    amount_micro -= min(amount_micro, expired_micro - absorbed_micro)
    for member in locked.members:
        spent_micro = member.captured_micro - member.owed_micro - repaid_micro[member.id]
        owed_micro = min(amount_micro, max(0, spent_micro))
        if owed_micro:
            member.change(connection, owed_micro=owed_micro)
            locked.wallet(member).owed_micro += owed_micro
            amount_micro -= owed_micro
    if amount_micro:
        raise AssertionError(f"grant {locked.root.id}: {amount_micro} could not be revoked")


def _restore(
    connection: Connection,
    locked: LockedLineage,
    debts: list[_Debt],
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    for member in locked.members:
        forgiven_micro = min(amount_micro, member.owed_micro)
        if forgiven_micro:
            member.change(connection, owed_micro=-forgiven_micro)
            locked.wallet(member).owed_micro -= forgiven_micro
            amount_micro -= forgiven_micro
    for debt in reversed(debts):
        undone_micro = min(amount_micro, debt.captured_micro)
        if undone_micro:
            _undo_debt(connection, locked, debt, undone_micro, now, reason)
            amount_micro -= undone_micro
    for member in locked.members:
        restored_micro = min(amount_micro, member.revoked_micro)
        if restored_micro:
            _restore_grant(connection, locked, member, restored_micro, now, reason)
            amount_micro -= restored_micro
    # The rest was only ever taken from credits that had expired.


def _undo_debt(
    connection: Connection,
    locked: LockedLineage,
    debt: _Debt,
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    captured_micro = debt.captured_micro - amount_micro
    wallet = locked.wallets[debt.wallet_id]
    connection.execute(
        _REDUCE_DEBT, {"charge_id": debt.charge_id, "captured_micro": captured_micro}
    )
    parts = deallocation.plan(connection, debt.charge_id, captured_micro)
    wallet.add_entry("restore", amount_micro, now=now, charge_id=debt.charge_id, note=reason)
    deallocation.apply(connection, wallet, debt.charge_id, captured_micro, parts, now=now)


def _restore_grant(
    connection: Connection,
    locked: LockedLineage,
    member: GrantRow,
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    wallet = locked.wallet(member)
    wallet.add_entry("restore", amount_micro, now=now, grant_id=member.id, note=reason)
    if member.has_expired(wallet.clock(now)):
        lineage.return_as_new_grant(connection, wallet, member, amount_micro, at=now)
        member.change(connection, revoked_micro=-amount_micro, transferred_micro=amount_micro)
        return
    member.change(connection, revoked_micro=-amount_micro, remaining_micro=amount_micro)
    wallet.add_unheld(amount_micro, frozen=member.frozen_at is not None)
    if member.frozen_at is None:
        wallet.expect_expiry(member.expires_at)
