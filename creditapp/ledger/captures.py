"""End a charge: capture or release a hold, refund what was captured."""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from creditapp.ledger import charges, deallocation, expiry, locked_wallet
from creditapp.ledger.charges import Charge
from creditapp.ledger.refusals import ChargeSettled, HoldExpired
from creditapp.ledger.sql import read
from creditapp.logs import failures_logged

_SETTLE: Final = read(
    "UPDATE charges SET captured_micro = :captured_micro, state = :state, settled_at = :now,"
    " entry_seq = :entry_seq"
    " WHERE id = :charge_id AND state = 'open' AND amount_micro >= :captured_micro"
    f" RETURNING {charges.COLUMNS}",
    *charges.MOMENTS,
)
_REFUND: Final = read(
    "UPDATE charges SET captured_micro = :captured_micro"
    " WHERE id = :charge_id AND state = 'captured'"
    f" AND captured_micro > :captured_micro AND debt_grant_id IS NULL RETURNING {charges.COLUMNS}",
    *charges.MOMENTS,
)


def capture(
    connection: Connection,
    charge_id: int,
    amount_micro: int,
    *,
    now: datetime,
    note: str | None = None,
) -> Charge:
    """Capture ``amount_micro`` of a hold; the rest returns to the grants it came from.

    ``note`` replaces the hold's note in the history. A repeat with the same amount returns the
    same charge; another amount raises ``ChargeSettled``, because a charge ends once. Raises
    ``HoldExpired`` when the hold has expired, and ``ValueError`` for more than was held.
    """
    if amount_micro == 0:
        return release(connection, charge_id, now=now)
    if amount_micro < 0:
        raise ValueError("amount_micro must not be negative")
    with failures_logged("capture failed", charge=charge_id):
        return _settle(connection, charge_id, amount_micro, "captured", now, note)


def release(connection: Connection, charge_id: int, *, now: datetime) -> Charge:
    """End a hold without capturing anything; its entry is 0. A repeat changes nothing."""
    return _settle(connection, charge_id, 0, "released", now)


def refund(connection: Connection, charge_id: int, *, down_to_micro: int, now: datetime) -> Charge:
    """Refund a captured charge until only ``down_to_micro`` of it is captured.

    Changes nothing if no more than that is captured. Raises ``ChargeSettled`` for a charge that is
    not captured.
    """
    if down_to_micro < 0:
        raise ValueError("down_to_micro must not be negative")
    wallet = locked_wallet.lock_of_charge(connection, charge_id)
    expiry.sweep(connection, wallet, now)
    before = charges.charge_by_id(connection, charge_id)
    if before.state == "open" or before.is_debt:
        raise ChargeSettled("Only what was captured can be refunded.")
    if before.captured_micro <= down_to_micro:
        return before
    row = connection.execute(
        _REFUND, {"charge_id": charge_id, "captured_micro": down_to_micro}
    ).one()
    refund_micro = before.captured_micro - down_to_micro
    wallet.spent_micro -= refund_micro
    parts = deallocation.plan(connection, charge_id, down_to_micro)
    wallet.add_entry("refund", refund_micro, now=now, charge_id=charge_id)
    deallocation.apply(connection, wallet, charge_id, down_to_micro, parts, now=now)
    wallet.add_event("refunded", now, charge=charge_id, key=before.key, amount_micro=refund_micro)
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
        return _settled_before(connection, charge_id, captured_micro, state, now)
    held_micro = row.amount_micro
    wallet.held_micro -= held_micro
    parts = (
        deallocation.plan(connection, charge_id, captured_micro)
        if captured_micro < held_micro
        else []
    )
    kind, topic = ("capture", "captured") if captured_micro else ("release", "released")
    wallet.spent_micro += captured_micro
    wallet.add_entry(kind, -captured_micro, now=now, charge_id=charge_id, note=note)
    deallocation.apply(connection, wallet, charge_id, captured_micro, parts, now=now)
    wallet.add_event(
        topic, now, charge=charge_id, key=row.key, amount_micro=captured_micro or held_micro
    )
    wallet.post(connection)
    return charges.from_row(row, wallet.available_micro)


def _settled_before(
    connection: Connection, charge_id: int, captured_micro: int, state: str, now: datetime
) -> Charge:
    charge = charges.charge_by_id(connection, charge_id)
    if charge.state == "open":
        raise ValueError("a capture takes at most what was held")
    if charge.state == state and charge.captured_micro == captured_micro:
        return charge
    if charge.state == "released" and charge.expires_at and charge.expires_at <= now:
        raise HoldExpired("This hold has expired; its credits have returned.")
    raise ChargeSettled(f"This was already {charge.state}.")
