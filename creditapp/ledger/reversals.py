"""When a payment is taken back or contested: revoke, freeze, unfreeze.

Payments say how much of a grant is reversed *in total*, so that events may come twice, late or in
any order; the difference from what was reversed before is posted here. It reaches the grant's
whole family: what is unspent goes first, what has expired was gone already, what was spent
becomes ``owed``, in the wallet where it was spent.
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
    "SELECT id, wallet_id, captured_micro, debt_grant_id FROM charges WHERE captured_micro > 0"
    " AND debt_grant_id IN"
    " (SELECT id FROM grants WHERE id = :root_id OR root_grant_id = :root_id) ORDER BY id"
)
_KEEP_LESS: Final = write(
    "UPDATE charges SET captured_micro = :captured_micro WHERE id = :charge_id"
)
_TARGET: Final = write("UPDATE grants SET revoked_target_micro = :target WHERE id = :grant_id")
_FREEZE: Final = write("UPDATE grants SET frozen_at = :now WHERE id = :grant_id")
_UNFREEZE: Final = write(
    "UPDATE grants SET frozen_at = NULL, expires_at = :expires_at WHERE id = :grant_id"
)


@dataclass(frozen=True)
class Reversal:
    """How a grant and its family stand after a revocation, in microcredits."""

    target_micro: int
    """What has been revoked in total, as asked."""
    revoked_micro: int
    """What was taken back."""
    owed_micro: int
    """What is still owed, because it was spent."""
    repaid_micro: int
    """What later paid grants have paid for it."""


@dataclass(frozen=True)
class _Debt:
    charge_id: int
    wallet_id: int
    captured_micro: int
    debtor_id: int


def revoke(
    connection: Connection, grant_id: int, total_micro: int, *, now: datetime, reason: str
) -> Reversal:
    """Bring what is revoked of a grant, over its whole family, to ``total_micro``.

    More than before takes: unspent credits first (the root's, then its children's), then what was
    spent is owed. Less than before (a refund failed, a dispute was won) gives back: what is owed
    first, then what later grants paid for it, then the credits themselves. The same total again
    changes nothing. ``ValueError`` for a total that the grant never had.
    """
    family = lineage_lock.lock_lineage(connection, grant_id, now=now)
    root = family.root
    if not 0 <= total_micro <= root.amount_micro:
        raise ValueError(f"of grant {root.id} between 0 and {root.amount_micro} can be revoked")
    debts = _debts(connection, root.id)
    difference = total_micro - root.revoked_target_micro
    if difference > 0:
        _take(connection, family, debts, difference, now, reason)
    elif difference < 0:
        _give_back(connection, family, debts, -difference, now, reason)
    if difference:
        connection.execute(_TARGET, {"grant_id": root.id, "target": total_micro})
        topic = "revoked" if difference > 0 else "restored"
        family.wallet(root).fact(
            topic, now, grant=root.id, amount_micro=abs(difference), reason=reason
        )
    family.post(connection)
    return Reversal(
        total_micro,
        sum(member.revoked_micro for member in family.members),
        sum(member.owed_micro for member in family.members),
        sum(debt.captured_micro for debt in _debts(connection, root.id)),
    )


def freeze(connection: Connection, grant_id: int, *, now: datetime) -> None:
    """Make a grant and its family unspendable, wherever they lie, until ``unfreeze``."""
    family = lineage_lock.lock_lineage(connection, grant_id, now=now)
    for member in family.members:
        if member.frozen_at is not None:
            continue
        connection.execute(_FREEZE, {"grant_id": member.id, "now": now})
        wallet = family.wallet(member)
        wallet.available_micro -= member.remaining_micro
        wallet.frozen_micro += member.remaining_micro
    family.post(connection)


def unfreeze(connection: Connection, grant_id: int, *, now: datetime) -> None:
    """Make a grant and its family spendable again, and add the frozen time to their lives."""
    family = lineage_lock.lock_lineage(connection, grant_id, now=now)
    for member in family.members:
        if member.frozen_at is None:
            continue
        wallet = family.wallet(member)
        # While the account stands still too, its own end adds the time since it was frozen.
        until = wallet.clock(now)
        expires_at = member.expires_at
        if until > member.frozen_at and not member.has_expired(now):
            expires_at = lineage.extend(expires_at, until - member.frozen_at)
        connection.execute(_UNFREEZE, {"grant_id": member.id, "expires_at": expires_at})
        wallet.frozen_micro -= member.remaining_micro
        wallet.available_micro += member.remaining_micro
        if member.remaining_micro:
            wallet.expires(expires_at)
    family.post(connection)


def _debts(connection: Connection, root_id: int) -> list[_Debt]:
    return [_Debt(*row) for row in connection.execute(_DEBTS, {"root_id": root_id})]


def _take(
    connection: Connection,
    family: LockedLineage,
    debts: list[_Debt],
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    repaid_micro = {member.id: 0 for member in family.members}
    for debt in debts:
        repaid_micro[debt.debtor_id] += debt.captured_micro
    absorbed = family.root.revoked_target_micro - sum(
        member.revoked_micro + member.owed_micro + repaid_micro[member.id]
        for member in family.members
    )
    expired = sum(member.expired_micro for member in family.members)
    for member in family.members:
        taken = min(amount_micro, member.remaining_micro)
        if taken:
            _take_unspent(connection, family, member, taken, now, reason)
            amount_micro -= taken
    # What has expired is gone already: nobody owes it.
    amount_micro -= min(amount_micro, expired - absorbed)
    for member in family.members:
        owed_micro = min(
            amount_micro, max(0, member.used - member.owed_micro - repaid_micro[member.id])
        )
        if owed_micro:
            member.change(connection, owed_micro=owed_micro)
            family.wallet(member).owed_micro += owed_micro
            amount_micro -= owed_micro
    if amount_micro:
        raise AssertionError(f"grant {family.root.id}: {amount_micro} could not be revoked")


def _take_unspent(
    connection: Connection,
    family: LockedLineage,
    member: GrantRow,
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    member.change(connection, remaining_micro=-amount_micro, revoked_micro=amount_micro)
    wallet = family.wallet(member)
    wallet.add(-amount_micro, frozen=member.frozen_at is not None)
    wallet.entry("revoke", -amount_micro, now=now, grant_id=member.id, note=reason)


def _give_back(
    connection: Connection,
    family: LockedLineage,
    debts: list[_Debt],
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    for member in family.members:
        forgiven = min(amount_micro, member.owed_micro)
        if forgiven:
            member.change(connection, owed_micro=-forgiven)
            family.wallet(member).owed_micro -= forgiven
            amount_micro -= forgiven
    for debt in reversed(debts):
        returned = min(amount_micro, debt.captured_micro)
        if returned:
            _undo_debt(connection, family, debt, returned, now, reason)
            amount_micro -= returned
    for member in family.members:
        restored = min(amount_micro, member.revoked_micro)
        if restored:
            _restore(connection, family, member, restored, now, reason)
            amount_micro -= restored
    # What is left was only ever taken from credits that had expired.


def _undo_debt(
    connection: Connection,
    family: LockedLineage,
    debt: _Debt,
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    captured_micro = debt.captured_micro - amount_micro
    wallet = family.wallets[debt.wallet_id]
    connection.execute(_KEEP_LESS, {"charge_id": debt.charge_id, "captured_micro": captured_micro})
    returning = deallocation.of_charge(connection, debt.charge_id, captured_micro)
    wallet.entry("restore", amount_micro, now=now, charge_id=debt.charge_id, note=reason)
    deallocation.give_back(connection, wallet, debt.charge_id, captured_micro, returning, now=now)


def _restore(
    connection: Connection,
    family: LockedLineage,
    member: GrantRow,
    amount_micro: int,
    now: datetime,
    reason: str,
) -> None:
    wallet = family.wallet(member)
    wallet.entry("restore", amount_micro, now=now, grant_id=member.id, note=reason)
    if member.has_expired(wallet.clock(now)):
        lineage.restore_late(connection, wallet, member, amount_micro, at=now)
        member.change(connection, revoked_micro=-amount_micro, transferred_micro=amount_micro)
        return
    member.change(connection, revoked_micro=-amount_micro, remaining_micro=amount_micro)
    wallet.add(amount_micro, frozen=member.frozen_at is not None)
    if member.frozen_at is None:
        wallet.expires(member.expires_at)
