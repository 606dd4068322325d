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
from creditapp.ledger.allocation import ChargeRequest, Debit, ReservedWallet
from creditapp.ledger.charges import Charge
from creditapp.ledger.refusals import AccountFrozen, InsufficientCredits


def spend(
    connection: Connection,
    wallet_id: int,
    amount_micro: int,
    *,
    key: str,
    digest: str,
    operation: str,
    now: datetime,
    actor: str = "",
    feature: str = "",
    api_key_id: str | None = None,
    request_id: str | None = None,
    low_micro: int = 0,
    note: str | None = None,
) -> Charge:
    """Take ``amount_micro`` for ``operation`` at once.

    ``key`` names the thing that is paid for, within the wallet: the same key and ``digest`` again
    return the first charge (``replayed``), another digest raises ``IdempotencyKeyReused``. Raises
    ``InsufficientCredits`` with the balance that may pay for this operation, or ``AccountFrozen``;
    a refusal writes nothing, even if the transaction goes on. When the balance falls below
    ``low_micro``, the outbox gets ``low_balance``.
    """
    return _charge(
        connection,
        ChargeRequest(
            wallet_id=wallet_id, amount_micro=amount_micro, key=key, digest=digest,
            operation=operation, now=now, is_hold=False, actor=actor, feature=feature,
            api_key_id=api_key_id, request_id=request_id, low_micro=low_micro, note=note,
        ),
    )  # fmt: skip


def hold(
    connection: Connection,
    wallet_id: int,
    amount_micro: int,
    *,
    key: str,
    digest: str,
    operation: str,
    now: datetime,
    actor: str = "",
    feature: str = "",
    api_key_id: str | None = None,
    request_id: str | None = None,
    expires_at: datetime | None = None,
    low_micro: int = 0,
    note: str | None = None,
) -> Charge:
    """Set ``amount_micro`` aside for ``operation`` until it is captured or released.

    As ``spend``, but the history gets its entry when the hold ends. ``expires_at`` is for holds
    made by API: after it the hold cannot be captured and its credits return. Without it, only its
    owner ends it.
    """
    if expires_at is not None and expires_at <= now:
        raise ValueError("a hold must end in the future")
    return _charge(
        connection,
        ChargeRequest(
            wallet_id=wallet_id, amount_micro=amount_micro, key=key, digest=digest,
            operation=operation, now=now, is_hold=True, actor=actor, feature=feature,
            api_key_id=api_key_id, request_id=request_id, low_micro=low_micro, note=note,
            expires_at=expires_at,
        ),
    )  # fmt: skip


def _charge(connection: Connection, request: ChargeRequest) -> Charge:
    if request.amount_micro <= 0:
        raise ValueError("amount_micro must be positive")
    debit = Debit(connection, request)
    wallet = debit.reserve()
    if wallet is None:
        replayed = _prepare_or_refuse(connection, request)
        if replayed is not None:
            return replayed
        wallet = debit.reserve()
        assert wallet is not None  # it is locked, swept, and has enough
    charge_id, is_allocated = debit.allocate(wallet)
    if charge_id is None:
        debit.undo()
        return _replay(connection, request)
    if not is_allocated:
        # The balance is large enough, but not with credits that may pay for this operation.
        debit.undo(charge_id)
        raise _insufficient(connection, request)
    left_micro = wallet.available_micro
    if left_micro < request.low_micro <= left_micro + request.amount_micro:
        payload = {"available_micro": left_micro, "threshold_micro": request.low_micro}
        event = outbox.event_row("low_balance", request.wallet_id, request.now, payload)
        outbox.insert(connection, [event])
    return _new_charge(request, charge_id, wallet)


def _prepare_or_refuse(connection: Connection, request: ChargeRequest) -> Charge | None:
    """Handle a refusal of the guard: replay the charge, expire what is due, or raise."""
    wallet = locked_wallet.lock(connection, request.wallet_id)
    if charges.find_charge(connection, request.wallet_id, request.key) is not None:
        return _replay(connection, request)
    if wallet.frozen_at is not None:
        raise AccountFrozen
    if wallet.next_expiry_at <= request.now:
        expiry.sweep(connection, wallet, request.now)
    if wallet.available_micro < request.amount_micro:
        raise _insufficient(connection, request)
    return None


def _replay(connection: Connection, request: ChargeRequest) -> Charge:
    charge = charges.find_charge(connection, request.wallet_id, request.key)
    if charge is None or charge.digest != request.digest:
        raise IdempotencyKeyReused
    return replace(charge, replayed=True)


def _insufficient(connection: Connection, request: ChargeRequest) -> InsufficientCredits:
    spendable_micro = queries.spendable(
        connection, request.wallet_id, request.operation, now=request.now
    )
    return InsufficientCredits(request.amount_micro, spendable_micro)


def _new_charge(request: ChargeRequest, charge_id: int, wallet: ReservedWallet) -> Charge:
    return Charge(
        id=charge_id,
        wallet_id=request.wallet_id,
        key=request.key,
        digest=request.digest,
        operation=request.operation,
        amount_micro=request.amount_micro,
        captured_micro=request.amount_micro,
        state="open" if request.is_hold else "captured",
        actor=request.actor,
        feature=request.feature,
        api_key_id=request.api_key_id,
        request_id=request.request_id,
        debt_grant_id=None,
        expires_at=request.expires_at,
        created_at=request.now,
        settled_at=None if request.is_hold else request.now,
        entry_seq=None if request.is_hold else wallet.seq,
        available_micro=wallet.available_micro,
    )
