"""Taking credits: at once (``spend``) or for later (``hold``).

The wallet's guarded UPDATE comes first. It is the lock, the check of the balance, and the reason
why the statements after it see what the last spender left: they take their snapshot after the
wait. The order of spending is priority, soonest expiry, narrowest scope, oldest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from creditapp.errors import IdempotencyKeyReused
from creditapp.ledger import charges, expiry, locked_wallet, outbox, queries
from creditapp.ledger.allocation import Debit, Order, Taken
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
    answer the first charge (``replayed``), another digest raises ``IdempotencyKeyReused``. Raises
    ``InsufficientCredits`` with what may pay for this operation, or ``AccountFrozen``; a refusal
    leaves nothing behind, even if the transaction goes on. When the balance falls below
    ``low_micro``, the outbox gets ``low_balance``.
    """
    order = Order(
        wallet_id, amount_micro, key, digest, operation, actor, feature, api_key_id, request_id,
        None, now, False, low_micro, note,
    )  # fmt: skip
    return _charge(connection, order)


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
    """Set ``amount_micro`` aside for ``operation``, until it is captured or released.

    As ``spend``; the history gets its line when the hold ends. ``expires_at`` is for holds made by
    API: after it the hold cannot be captured and its credits return. Without it, only its owner
    ends it.
    """
    if expires_at is not None and expires_at <= now:
        raise ValueError("a hold ends in the future")
    order = Order(
        wallet_id, amount_micro, key, digest, operation, actor, feature, api_key_id, request_id,
        expires_at, now, True, low_micro, note,
    )  # fmt: skip
    return _charge(connection, order)


def _charge(connection: Connection, order: Order) -> Charge:
    if order.amount_micro <= 0:
        raise ValueError("a charge takes more than nothing")
    under_way = Debit(connection, order)
    taken = under_way.take()
    if taken is None:
        replayed = _prepare_or_refuse(connection, order)
        if replayed is not None:
            return replayed
        taken = under_way.take()
        assert taken is not None  # the wallet is locked, swept, and has enough
    charge_id, enough = under_way.draw(taken)
    if charge_id is None:
        under_way.untake()
        return _replay(connection, order)
    if not enough:
        # The balance covers it, but not with credits that may pay for this operation.
        under_way.untake(charge_id)
        raise _insufficient(connection, order)
    if taken.available_micro < order.low_micro <= taken.available_micro + order.amount_micro:
        payload = {"available_micro": taken.available_micro, "threshold_micro": order.low_micro}
        fact = outbox.row("low_balance", order.wallet_id, order.now, payload)
        outbox.insert(connection, [fact])
    return _charged(order, charge_id, taken)


def _prepare_or_refuse(connection: Connection, order: Order) -> Charge | None:
    """Find out why the guard said no: replay, expire what is due and go on, or refuse."""
    wallet = locked_wallet.lock(connection, order.wallet_id)
    if charges.find_by_key(connection, order.wallet_id, order.key) is not None:
        return _replay(connection, order)
    if wallet.frozen_at is not None:
        raise AccountFrozen
    if wallet.next_expiry_at <= order.now:
        expiry.sweep(connection, wallet, order.now)
    if wallet.available_micro < order.amount_micro:
        raise _insufficient(connection, order)
    return None


def _replay(connection: Connection, order: Order) -> Charge:
    charge = charges.find_by_key(connection, order.wallet_id, order.key)
    if charge is None or charge.digest != order.digest:
        raise IdempotencyKeyReused
    return replace(charge, replayed=True)


def _insufficient(connection: Connection, order: Order) -> InsufficientCredits:
    balance = queries.spendable(connection, order.wallet_id, order.operation, now=order.now)
    return InsufficientCredits(order.amount_micro, balance)


def _charged(order: Order, charge_id: int, taken: Taken) -> Charge:
    return Charge(
        id=charge_id,
        wallet_id=order.wallet_id,
        key=order.key,
        digest=order.digest,
        operation=order.operation,
        amount_micro=order.amount_micro,
        captured_micro=order.amount_micro,
        state="open" if order.is_hold else "captured",
        actor=order.actor,
        feature=order.feature,
        api_key_id=order.api_key_id,
        request_id=order.request_id,
        debt_grant_id=None,
        expires_at=order.expires_at,
        created_at=order.now,
        settled_at=None if order.is_hold else order.now,
        entry_seq=None if order.is_hold else taken.seq,
        available_micro=taken.available_micro,
    )
