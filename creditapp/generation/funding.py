"""What a generation is paid with: a member's credits, held, or one of a guest's free images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from creditapp import guests, ledger
from creditapp.accounts import User
from creditapp.catalog import Catalog, Quote
from creditapp.clock import now
from creditapp.generation.models import Generation
from creditapp.guests import Visitor
from creditapp.services import get

_PAID = text(
    "UPDATE generations SET wallet_id = :wallet_id, charge_id = :charge_id, claim_id = :claim_id"
    " WHERE id = :id"
)


@dataclass(frozen=True)
class Caller:
    """Who asks: a member with a wallet, or a guest with free images."""

    member: User | None
    visitor: Visitor

    @property
    def owner(self) -> tuple[str, str]:
        """The kind and id under which what is made will be kept."""
        if self.member is not None:
            return "user", self.member.id
        return "guest", self.visitor.cookie_id


def take(session: Session, generation: Generation, quote: Quote, by: Caller) -> int | None:
    """Claim a free image or hold the price, and note on the row which of the two it was.

    Returns what a member can spend afterwards.
    """
    catalog, moment = get(Catalog), now()
    if by.member is None:
        generation.claim_id = guests.claim(
            session,
            by.visitor,
            moment,
            limit=catalog.guest_limit,
            window_hours=catalog.guest_window_hours,
            daily_budget=catalog.guest_daily_budget,
            generation_id=generation.id,
            signup_credits_micro=catalog.welcome_micro,
        ).id
        available = None
    else:
        connection = session.connection()
        wallet_id = ledger.ensure_wallet(connection, "user", by.member.id, now=moment)
        charge = ledger.hold(
            connection,
            wallet_id,
            quote.cost_micro,
            key=f"generation:{generation.id}",
            digest=generation.request_digest,
            operation=generation.operation,
            now=moment,
            actor=by.member.id,
            low_micro=by.member.low_at_micro(catalog.low_balance_micro),
            note=quote.sentence,
        )
        generation.wallet_id, generation.charge_id = wallet_id, charge.id
        available = charge.available_micro
    names = ("id", "wallet_id", "charge_id", "claim_id")
    session.connection().execute(_PAID, {name: getattr(generation, name) for name in names})
    return available


def give_back(session: Session, generation: Generation, at: datetime) -> None:
    """Give back what was set aside: the charge is released, or the guest's claim returned."""
    if generation.funding == "guest":
        if generation.claim_id:
            guests.give_back(session, generation.claim_id)
    elif generation.charge_id:
        ledger.release(session.connection(), generation.charge_id, now=at)
