"""Take credits at once (``spend``) or set them aside for later (``hold``).

The wallet's guarded UPDATE comes first. It is the lock and the check of the balance, and the
statements after it take their snapshot after the wait, so they see what the last spender left. The
order of spending is priority, soonest expiry, narrowest scope, oldest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from creditapp.errors import IdempotencyKeyReused
from creditapp.ledger import charges, expiry, locked_wallet, outbox, queries
from creditapp.ledger.allocation import Debit, ReservedWallet
from creditapp.ledger.charges import Charge, NewCharge
from creditapp.ledger.refusals import (
    AccountFrozen,
    BudgetExceeded,
    InsufficientCredits,
    MaxCreditsExceeded,
)


def spend(connection: Connection, wallet_id: int, charge: NewCharge, *, now: datetime) -> Charge:
    """Take the amount of ``charge`` at once.

    The same key and digest again return the first charge (``replayed``), another digest raises
    ``IdempotencyKeyReused``. Raises ``InsufficientCredits`` with the balance that may pay for this
    operation, ``BudgetExceeded`` for that of its API key, ``MaxCreditsExceeded`` above what its
    caller allows, or ``AccountFrozen``; a refusal writes nothing, even if the transaction goes on.
    """
    return _charge(Debit(connection, wallet_id, charge, now))


def hold(
    connection: Connection,
    wallet_id: int,
    charge: NewCharge,
    *,
    now: datetime,
    expires_at: datetime | None = None,
) -> Charge:
    """Set the amount of ``charge`` aside until it is captured or released.

    As ``spend``, but the history gets its entry when the hold ends. ``expires_at`` is for holds
    made by API: after it the hold cannot be captured and its credits return. Without it, only its
    owner ends it.
    """
    if expires_at is not None and expires_at <= now:
        raise ValueError("a hold must end in the future")
    return _charge(Debit(connection, wallet_id, charge, now, is_hold=True, expires_at=expires_at))


def _charge(debit: Debit) -> Charge:
    new = debit.charge
    if new.amount_micro <= 0:
        raise ValueError("amount_micro must be positive")
    if new.max_micro is not None and new.amount_micro > new.max_micro:
        raise MaxCreditsExceeded(new.amount_micro, new.max_micro)
    wallet = debit.reserve()
    if wallet is None:
        replayed = _prepare_or_refuse(debit)
        if replayed is not None:
            return replayed
        wallet = debit.reserve()
        assert wallet is not None  # it is locked, swept, and has enough
    charge_id, is_allocated = debit.allocate(wallet)
    if charge_id is None:
        debit.undo()
        return _replay(debit)
    if not is_allocated:
        # The balance is large enough, but not with credits that may pay for this operation, or
        # more than the budget of the API key.
        debit.undo(charge_id)
        raise _over_budget(debit) or _insufficient(debit)
    left_micro = wallet.available_micro
    if left_micro < new.low_micro <= left_micro + new.amount_micro:
        payload = {"available_micro": left_micro, "threshold_micro": new.low_micro}
        event = outbox.event_row("low_balance", debit.wallet_id, debit.now, payload)
        outbox.insert(debit.connection, [event])
    return _new_charge(debit, charge_id, wallet)


def _over_budget(debit: Debit) -> BudgetExceeded | None:
    """Return the refusal of a charge that its API key's budget does not cover.

    The wallet is locked, so that no other charge of the key is made meanwhile.
    """
    new = debit.charge
    if new.budget is None or new.api_key_id is None:
        return None
    taken_micro = queries.taken_by_key(debit.connection, new.api_key_id, since=new.budget.since)
    left_micro = max(0, new.budget.limit_micro - taken_micro)
    if new.amount_micro <= left_micro:
        return None
    return BudgetExceeded(new.amount_micro, left_micro, new.budget)


def _prepare_or_refuse(debit: Debit) -> Charge | None:
    """Handle a refusal of the guard: replay the charge, expire what is due, or raise."""
    wallet = locked_wallet.lock(debit.connection, debit.wallet_id)
    if charges.find_charge(debit.connection, debit.wallet_id, debit.charge.key) is not None:
        return _replay(debit)
    if wallet.frozen_at is not None:
        raise AccountFrozen
    if wallet.next_expiry_at <= debit.now:
        expiry.sweep(debit.connection, wallet, debit.now)
    if wallet.available_micro < debit.charge.amount_micro:
        raise _insufficient(debit)
    return None


def _replay(debit: Debit) -> Charge:
    charge = charges.find_charge(debit.connection, debit.wallet_id, debit.charge.key)
    if charge is None or charge.digest != debit.charge.digest:
        raise IdempotencyKeyReused
    return replace(charge, replayed=True)


def _insufficient(debit: Debit) -> InsufficientCredits:
    spendable_micro = queries.spendable(
        debit.connection, debit.wallet_id, debit.charge.operation, now=debit.now
    )
    return InsufficientCredits(debit.charge.amount_micro, spendable_micro)


def _new_charge(debit: Debit, charge_id: int, wallet: ReservedWallet) -> Charge:
    new = debit.charge
    return Charge(
        id=charge_id,
        wallet_id=debit.wallet_id,
        key=new.key,
        digest=new.digest,
        operation=new.operation,
        amount_micro=new.amount_micro,
        captured_micro=new.amount_micro,
        state="open" if debit.is_hold else "captured",
        actor=new.actor,
        feature=new.feature,
        api_key_id=new.api_key_id,
        request_id=new.request_id,
        debt_grant_id=None,
        expires_at=debit.expires_at,
        created_at=debit.now,
        settled_at=None if debit.is_hold else debit.now,
        entry_seq=None if debit.is_hold else wallet.seq,
        available_micro=wallet.available_micro,
    )
