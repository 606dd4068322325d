"""Moving the rest of a receipt into the account of the person who paid for it.

It is no gift: the credits stay those of one payment, so the delay of transfers does not apply, and
a refund or a dispute of the payment follows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.agents import settlement
from creditapp.agents.receipts import Receipt
from creditapp.agents.refusals import CreditsExhausted, Refunded
from creditapp.ids import new_id
from creditapp.ledger import AccountFrozen, InsufficientCredits


@dataclass(frozen=True)
class MovedCredits:
    """Credits that left a receipt for an account."""

    moved_micro: int
    balance_micro: int
    """Of the account, to spend."""


def move_to_account(
    session: Session, receipt: Receipt, user_id: str, *, now: datetime
) -> MovedCredits:
    """Move all that can be spent of a receipt into the wallet of a user.

    Raises ``CreditsExhausted`` when nothing is left, also to one of two that move it at once,
    ``Refunded``, and ``AuthenticationRequired`` for an account that was deleted meanwhile. Credits
    of images that are being made stay with the receipt.
    """
    accounts.require_open(session, user_id)
    connection = session.connection()
    request_id = receipt.request.id
    from_id = ledger.find_wallet(connection, settlement.WALLET, request_id)
    assert from_id is not None  # made with the settlement
    to_id = ledger.ensure_wallet(connection, "user", user_id, now=now)
    amount_micro = ledger.balance(connection, from_id, now=now).available_micro
    if receipt.request.state == "refunded":
        raise Refunded("The unused credits of this receipt were paid back.")
    if not amount_micro:
        raise CreditsExhausted("Nothing is left on this receipt.")
    try:
        ledger.transfer(
            connection,
            from_id,
            to_id,
            amount_micro,
            key=new_id("mov"),
            now=now,
            min_age=timedelta(0),
            note="Image credits of a receipt",
        )
    except InsufficientCredits:
        raise CreditsExhausted("Nothing is left on this receipt.") from None
    except AccountFrozen:
        raise Refunded("The unused credits of this receipt were paid back.") from None
    balance = ledger.balance(connection, to_id, now=now)
    return MovedCredits(amount_micro, balance.available_micro)
