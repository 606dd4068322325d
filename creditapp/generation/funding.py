"""Funding of a generation: a hold on the credits of a member or of an agent's receipt, the member's
own key of the vendor, or a claim on a guest's free images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import accounts, guests, ledger
from creditapp.accounts import Member
from creditapp.catalog import Catalog, Quote
from creditapp.errors import AuthenticationRequired
from creditapp.generation.models import OWN_KEY, Generation
from creditapp.guests import Visitor
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

RECEIPT = "receipt"
"""The funding of a generation that one credit of an agent's receipt pays for."""


@dataclass(frozen=True)
class ReceiptWallet:
    """The wallet of an agent's receipt, whose credits buy an image each, whatever its price."""

    owner_id: str
    wallet_id: int


@dataclass(frozen=True)
class Caller:
    """The caller of a verb: a member with a wallet, an agent with a receipt, or a guest with free
    images."""

    member: Member | None
    visitor: Visitor
    request_keys: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The member's own keys that came with the request, by vendor."""
    receipt: ReceiptWallet | None = None

    @property
    def funding(self) -> str:
        """The funding of what this caller orders now."""
        if self.receipt is not None:
            return RECEIPT
        if self.member is None:
            return "guest"
        return OWN_KEY if self.member.api_key_mode == "own" else "wallet"

    def require_member(self) -> Member:
        """Return the member; raise ``AuthenticationRequired`` for a guest."""
        if self.member is None:
            raise AuthenticationRequired
        return self.member

    @property
    def owner(self) -> tuple[str, str]:
        """The owner of what this caller makes: its kind and id."""
        if self.receipt is not None:
            return RECEIPT, self.receipt.owner_id
        if self.member is not None:
            return self.member.owner
        return "guest", self.visitor.cookie_id


def price_micro(quote: Quote, by: Caller) -> int:
    """Return what an order costs this caller before it is made."""
    if by.funding == OWN_KEY:
        return 0
    return MICRO_PER_CREDIT if by.funding == RECEIPT else quote.cost_micro


def reserve(
    session: Session, generation: Generation, quote: Quote, by: Caller, now: datetime
) -> int | None:
    """Claim a free image or hold the price, and name it on the generation, which is not stored yet.

    Returns the microcredits that a member or a receipt can spend afterwards; None for a guest and
    for an own key of a vendor, which nothing is held for.
    """
    if by.member is not None:
        accounts.require_open(session, by.member.id)
    if generation.funding == OWN_KEY:
        return None
    catalog = get(Catalog)
    connection = session.connection()
    charge = ledger.NewCharge(
        amount_micro=price_micro(quote, by),
        key=f"generation:{generation.id}",
        digest=generation.request_digest,
        operation=generation.operation,
        note=quote.sentence,
    )
    if by.receipt is not None:
        wallet_id = by.receipt.wallet_id
    elif by.member is not None:
        wallet_id = by.member.wallet_id or ledger.ensure_wallet(
            connection, "user", by.member.id, now=now
        )
        charge = replace(
            charge,
            actor=by.member.id,
            api_key_id=by.member.key_id,
            budget=by.member.budget,
            max_micro=by.member.max_micro,
            low_micro=by.member.low_at_micro(catalog.low_balance_micro),
        )
    else:
        claim = guests.claim(
            session,
            by.visitor,
            now,
            limit=catalog.guest_limit,
            window_hours=catalog.guest_window_hours,
            daily_budget=catalog.guest_daily_budget,
            generation_id=generation.id,
            signup_credits_micro=catalog.welcome_micro,
        )
        generation.claim_id = claim.id
        return None
    held = ledger.hold(connection, wallet_id, charge, now=now)
    generation.wallet_id, generation.charge_id = wallet_id, held.id
    return held.available_micro


def release(session: Session, generation: Generation, now: datetime) -> None:
    """Release the hold, or return the guest's claim."""
    if generation.funding == "guest":
        if generation.claim_id:
            guests.release(session, generation.claim_id)
    elif generation.charge_id:
        ledger.release(session.connection(), generation.charge_id, now=now)
