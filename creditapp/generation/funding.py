"""Funding of a generation: a hold on a member's credits, or a claim on a guest's free images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import guests, ledger
from creditapp.accounts import User
from creditapp.catalog import Catalog, Quote
from creditapp.clock import now
from creditapp.db import update_if
from creditapp.generation.models import Generation
from creditapp.guests import Visitor
from creditapp.services import get


@dataclass(frozen=True)
class Caller:
    """The caller of a verb: a member with a wallet, or a guest with free images."""

    member: User | None
    visitor: Visitor

    @property
    def owner(self) -> tuple[str, str]:
        """The owner of what this caller makes: its kind and id."""
        if self.member is not None:
            return "user", self.member.id
        return "guest", self.visitor.cookie_id


def reserve(session: Session, generation: Generation, quote: Quote, by: Caller) -> int | None:
    """Claim a free image or hold the price, and store which of the two on the row.

    Returns the microcredits that a member can spend afterwards, None for a guest.
    """
    catalog, moment = get(Catalog), now()
    if by.member is None:
        claim = guests.claim(
            session,
            by.visitor,
            moment,
            limit=catalog.guest_limit,
            window_hours=catalog.guest_window_hours,
            daily_budget=catalog.guest_daily_budget,
            generation_id=generation.id,
            signup_credits_micro=catalog.welcome_micro,
        )
        update_if(session, generation, claim_id=claim.id)
        return None
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
    update_if(session, generation, wallet_id=wallet_id, charge_id=charge.id)
    return charge.available_micro


def release(session: Session, generation: Generation, at: datetime) -> None:
    """Release the hold, or return the guest's claim."""
    if generation.funding == "guest":
        if generation.claim_id:
            guests.release(session, generation.claim_id)
    elif generation.charge_id:
        ledger.release(session.connection(), generation.charge_id, now=at)
