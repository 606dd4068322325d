"""A buyer's keys: each stores one purchase, however often its request comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import insert_once
from creditapp.errors import IdempotencyKeyReused, RateLimited
from creditapp.ids import new_id
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.rate_limits import OPEN_CHECKOUTS
from creditapp.services import get

FIRST_LOOK: Final = timedelta(minutes=1)
"""After so long the sweep looks at a purchase of which nobody spoke."""

OPEN_AN_HOUR_MAX = OPEN_CHECKOUTS.limit
"""How many unpaid checkouts one buyer may open within an hour."""


def new_purchase(buyer_id: str, key: str, digest: str, **sold: Any) -> Purchase:
    """Return a purchase that nobody has stored yet; ``sold`` is what is bought, and where it leads.

    What is so for each of them stands here: its number, whose money it moves, when it is looked at.
    """
    moment = now()
    return Purchase(
        id=new_id("pur"),
        user_id=buyer_id,
        request_key=key,
        request_digest=digest,
        catalog_version=get(Catalog).version,
        livemode=get(StripeGateway).livemode,
        sandbox=get(Settings).sandbox,
        state="open",
        version=1,
        attempt=1,
        refunded_minor=0,
        created_at=moment,
        next_sync_at=moment + FIRST_LOOK,
        **sold,
    )


def store_once(
    session: Session, buyer: User, key: str, digest: str, make: Callable[[], Purchase]
) -> Purchase:
    """Store what ``make`` returns, or return what this buyer's key stored before (``replayed``).

    Raises ``IdempotencyKeyReused`` where the key bought something else, and ``RateLimited``.
    """
    earlier = find_existing(session, buyer, key, digest)
    if earlier is not None:
        return earlier
    _refuse_a_heap(session, buyer)
    purchase = make()
    if insert_once(session, purchase, ["user_id", "request_key"]):
        return purchase
    return _again(session.scalars(_of(buyer, key)).one(), digest)


def find_existing(session: Session, buyer: User, key: str, digest: str) -> Purchase | None:
    """Return what this buyer's key stored before (``replayed``), or None; store nothing.

    Raises ``IdempotencyKeyReused`` where the key bought something else.
    """
    earlier = session.scalar(_of(buyer, key))
    return None if earlier is None else _again(earlier, digest)


def _of(buyer: User, key: str) -> Select[Purchase]:
    return select(Purchase).where(Purchase.user_id == buyer.id, Purchase.request_key == key)


def _again(earlier: Purchase, digest: str) -> Purchase:
    if earlier.request_digest != digest:
        raise IdempotencyKeyReused("This key was used to buy something else.")
    earlier.replayed = True
    return earlier


def _refuse_a_heap(session: Session, buyer: User) -> None:
    """Refuse one more checkout to somebody who leaves them all unpaid.

    Each open one is looked at until it ends, at Stripe, and everybody's look takes its turn.
    """
    moment = now()
    query = (
        select(func.count())
        .select_from(Purchase)
        .where(
            Purchase.user_id == buyer.id,
            Purchase.state == "open",
            Purchase.created_at > moment - timedelta(hours=1),
        )
    )
    if (session.scalar(query) or 0) >= OPEN_AN_HOUR_MAX:
        refusal = RateLimited(
            "You have many unpaid checkouts. Pay one of them, or come back later."
        )
        refusal.headers["Retry-After"] = "3600"
        raise refusal
