"""End a charge: capture or release a hold, refund what was captured.

Most holds are captured whole, and then nothing returns to a grant. That is done by the wallet's
guarded UPDATE and, on PostgreSQL, one statement after it, as a spend (see ``allocation``).
"""

# ruff: noqa: S608  # SQL is joined from constants of these modules only

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from creditapp.ledger import charges, deallocation, expiry, locked_wallet
from creditapp.ledger.allocation import ENTRY, EVENT, SQLITE_ENTRY, SQLITE_EVENT
from creditapp.ledger.charges import Charge
from creditapp.ledger.refusals import ChargeSettled, HoldExpired
from creditapp.ledger.sql import Direct, read, stored
from creditapp.logs import failures_logged

# The charge is as it was when the statement began, perhaps before a wait for the wallet's lock:
# whoever waited for another capture of the same hold sees that only at _SETTLE_WHOLE.
_TAKE_WHOLE: Final = Direct(
    "UPDATE wallets SET held_micro = held_micro - :amount_micro, seq = seq + 1,"
    " lifetime_spent_micro = lifetime_spent_micro + :amount_micro"
    " WHERE id = (SELECT wallet_id FROM charges"
    " WHERE id = :charge_id AND state = 'open' AND amount_micro = :amount_micro)"
    " AND held_micro >= :amount_micro AND frozen_at IS NULL AND next_expiry_at > :now"
    " RETURNING id, seq, available_micro, available_micro + held_micro + frozen_micro"
)
_UNDO_WHOLE: Final = Direct(
    "UPDATE wallets SET held_micro = held_micro + :amount_micro, seq = seq - 1,"
    " lifetime_spent_micro = lifetime_spent_micro - :amount_micro WHERE id = :wallet_id"
)
_SETTLE_WHOLE: Final = (
    "UPDATE charges SET state = 'captured', settled_at = :now, entry_seq = :seq"
    f" WHERE id = :charge_id AND state = 'open' RETURNING {charges.COLUMNS}"
)
_NOTE: Final = "INSERT INTO notes (wallet_id, seq, text)"
_SQLITE_SETTLE: Final = Direct(_SETTLE_WHOLE)
_SQLITE_NOTE: Final = Direct(_NOTE + " VALUES (:wallet_id, :seq, :note)")
_POSTGRESQL_SETTLE: Final = Direct(
    f"WITH settled AS ({_SETTLE_WHOLE}), entry AS ({ENTRY}"
    " SELECT :wallet_id, :seq, 'capture', 'usage', -:amount_micro, :balance_micro, id, :now, :now"
    f" FROM settled), event AS ({EVENT} SELECT 'captured', CAST(:wallet_id AS text),"
    " CAST(json_build_object('charge', id, 'key', key, 'amount_micro', :amount_micro) AS text),"
    f" :now FROM settled), noted AS ({_NOTE} SELECT :wallet_id, :seq, CAST(:note AS text)"
    " FROM settled WHERE CAST(:note AS text) IS NOT NULL)"
    " SELECT * FROM settled"
)
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
        whole = _capture_whole(connection, charge_id, amount_micro, now, note)
        return whole or _settle(connection, charge_id, amount_micro, "captured", now, note)


def _capture_whole(
    connection: Connection, charge_id: int, amount_micro: int, now: datetime, note: str | None
) -> Charge | None:
    """Capture a hold of exactly this amount; None, and nothing changed, where that is not enough.

    It is not for a part of a hold, one that has ended, a frozen wallet, or one where something may
    expire before.
    """
    values: dict[str, Any] = {
        "charge_id": charge_id,
        "amount_micro": amount_micro,
        "now": stored(connection, now),
        "kind": "capture",
        "note": note or None,
    }
    taken = _TAKE_WHOLE.row(connection, values)
    if taken is None:
        return None
    values["wallet_id"], values["seq"], available_micro, values["balance_micro"] = taken
    if connection.dialect.name == "postgresql":
        row = _POSTGRESQL_SETTLE.row(connection, values)
    else:
        row = _settle_whole_in_steps(connection, values)
    if row is None:
        _UNDO_WHOLE.run(connection, values)
        return None
    return charges.from_driver(row, available_micro)


def _settle_whole_in_steps(
    connection: Connection, values: dict[str, Any]
) -> tuple[Any, ...] | None:
    row = _SQLITE_SETTLE.row(connection, values)
    if row is None:
        return None
    key = row[charges.KEY_COLUMN]
    event = {"charge": values["charge_id"], "key": key, "amount_micro": values["amount_micro"]}
    SQLITE_ENTRY.run(connection, values)
    SQLITE_EVENT.run(connection, values | {"payload": json.dumps(event)})
    if values["note"] is not None:
        _SQLITE_NOTE.run(connection, values)
    return row


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
