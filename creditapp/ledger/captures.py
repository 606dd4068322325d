"""How a charge ends: captured, released, or refunded afterwards."""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.ledger import charges, deallocation, expiry, locked_wallet
from creditapp.ledger.charges import Charge
from creditapp.ledger.refusals import ChargeSettled, HoldExpired
from creditapp.ledger.sql import read

_SETTLE: Final = read(
    "UPDATE charges SET captured_micro = :captured_micro, state = :state, settled_at = :now,"
    " entry_seq = :entry_seq"
    " WHERE id = :charge_id AND state = 'open' AND amount_micro >= :captured_micro"
    f" RETURNING {charges.COLUMNS}",
    *charges.MOMENTS,
)
_REFUND: Final = read(
    "UPDATE charges SET captured_micro = :captured_micro WHERE id = :charge_id AND state ="
    " 'captured'"
    f" AND captured_micro > :captured_micro AND debt_grant_id IS NULL RETURNING {charges.COLUMNS}",
    *charges.MOMENTS,
)


def capture(
    connection: Connection,
    charge_id: int,
    captured_micro: int,
    *,
    now: datetime,
    note: str | None = None,
) -> Charge:
    """End a hold by keeping ``kept_micro`` of it; the rest returns to the grants it came from.

    ``note`` stands in the history in place of the one that the hold was made with.

    Again with the same amount, it answers what it answered; otherwise ``ChargeSettled``, because
    a charge ends once. ``HoldExpired`` when the hold's own time is over; ``ValueError`` for more
    than was held.
    """
    if captured_micro == 0:
        return release(connection, charge_id, now=now)
    if captured_micro < 0:
        raise ValueError("a capture keeps at least nothing")
    return _settle(connection, charge_id, captured_micro, "captured", now, note)


def release(connection: Connection, charge_id: int, *, now: datetime) -> Charge:
    """End a hold by keeping nothing; its history gets a line of 0. Repeating it changes nothing."""
    return _settle(connection, charge_id, 0, "released", now)


def refund(connection: Connection, charge_id: int, captured_micro: int, *, now: datetime) -> Charge:
    """Give back what a captured charge took, down to ``kept_micro``.

    Where it keeps no more than that already, nothing happens. ``ChargeSettled`` for a charge that
    has not been captured.
    """
    if captured_micro < 0:
        raise ValueError("a refund keeps at least nothing")
    wallet = locked_wallet.lock_of_charge(connection, charge_id)
    expiry.sweep(connection, wallet, now)
    before = charges.find(connection, charge_id)
    if before.state == "open" or before.is_debt:
        raise ChargeSettled("Only what was captured can be refunded.")
    if before.captured_micro <= captured_micro:
        return before
    row = connection.execute(
        _REFUND, {"charge_id": charge_id, "captured_micro": captured_micro}
    ).one()
    back = before.captured_micro - captured_micro
    wallet.spent_micro -= back
    returning = deallocation.of_charge(connection, charge_id, captured_micro)
    wallet.entry("refund", back, now=now, charge_id=charge_id)
    deallocation.give_back(connection, wallet, charge_id, captured_micro, returning, now=now)
    wallet.fact("refunded", now, charge=charge_id, key=before.key, amount_micro=back)
    wallet.post(connection)
    return charges.from_row(row, wallet.available_micro)


def _settle(
    connection: Connection,
    charge_id: int,
    captured_micro: int,
    state: str,
    now: datetime,
    note: str | None = None,
) -> Charge:
    wallet = locked_wallet.lock_of_charge(connection, charge_id)
    expiry.sweep(connection, wallet, now)
    row = connection.execute(
        _SETTLE,
        {
            "charge_id": charge_id,
            "captured_micro": captured_micro,
            "state": state,
            "now": now,
            "entry_seq": wallet.seq + 1,
        },
    ).one_or_none()
    if row is None:
        return _already(connection, charge_id, captured_micro, state, now)
    charge = charges.from_row(row, wallet.available_micro)
    wallet.held_micro -= charge.amount_micro
    returning = (
        deallocation.of_charge(connection, charge_id, captured_micro)
        if captured_micro < charge.amount_micro
        else []
    )
    kind, topic = ("capture", "captured") if captured_micro else ("release", "released")
    wallet.spent_micro += captured_micro
    wallet.entry(kind, -captured_micro, now=now, charge_id=charge_id, note=note)
    deallocation.give_back(connection, wallet, charge_id, captured_micro, returning, now=now)
    wallet.fact(
        topic,
        now,
        charge=charge_id,
        key=charge.key,
        amount_micro=captured_micro or charge.amount_micro,
    )
    wallet.post(connection)
    return charges.with_balance(charge, wallet.available_micro)


def _already(
    connection: Connection, charge_id: int, captured_micro: int, state: str, now: datetime
) -> Charge:
    charge = charges.find(connection, charge_id)
    if charge.state == "open":
        raise ValueError("a capture keeps at most what was held")
    if charge.state == state and charge.captured_micro == captured_micro:
        return charge
    if charge.state == "released" and charge.expires_at and charge.expires_at <= now:
        raise HoldExpired("This hold has expired; its credits have returned.")
    raise ChargeSettled(f"This was already {charge.state}.")
