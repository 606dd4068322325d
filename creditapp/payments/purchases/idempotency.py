"""Idempotent purchases: each key of a buyer stores one purchase, however often it is sent."""

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

FIRST_SYNC_AFTER: Final = timedelta(minutes=1)
"""The sweep syncs a purchase after this long, if neither an event nor the buyer did."""

OPEN_PER_HOUR_MAX = OPEN_CHECKOUTS.limit
"""How many unpaid checkouts one buyer may open within an hour."""


def new_purchase(buyer_id: str, key: str, digest: str, **columns: Any) -> Purchase:
    """Return a new purchase, not stored yet, with the columns that every purchase shares.

    ``columns`` are the product, its price and the return path.
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
        next_sync_at=moment + FIRST_SYNC_AFTER,
        **columns,
    )


def store_once(
    session: Session, buyer: User, key: str, digest: str, create: Callable[[], Purchase]
) -> Purchase:
    """Store the purchase that ``create`` returns, or return the one of this key (``replayed``).

    Raises ``IdempotencyKeyReused`` where the key bought something else, and ``RateLimited``.
    """
    existing = find_existing(session, buyer, key, digest)
    if existing is not None:
        return existing
    _limit_open_checkouts(session, buyer)
    purchase = create()
    if insert_once(session, purchase, ["user_id", "request_key"]):
        return purchase
    return _replay(session.scalars(_by_key(buyer, key)).one(), digest)


def find_existing(session: Session, buyer: User, key: str, digest: str) -> Purchase | None:
    """Return the purchase of this buyer's key (``replayed``), or None; store nothing.

    Raises ``IdempotencyKeyReused`` where the key bought something else.
    """
    existing = session.scalar(_by_key(buyer, key))
    return None if existing is None else _replay(existing, digest)


def _by_key(buyer: User, key: str) -> Select[Purchase]:
    return select(Purchase).where(Purchase.user_id == buyer.id, Purchase.request_key == key)


def _replay(existing: Purchase, digest: str) -> Purchase:
    if existing.request_digest != digest:
        raise IdempotencyKeyReused("This key was used to buy something else.")
    existing.replayed = True
    return existing


def _limit_open_checkouts(session: Session, buyer: User) -> None:
    """Refuse another checkout to a buyer with many unpaid ones.

    The sweep asks Stripe about each open checkout until it ends, and they all take turns.
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
    if (session.scalar(query) or 0) >= OPEN_PER_HOUR_MAX:
        raise RateLimited(
            "You have many unpaid checkouts. Pay one of them, or come back later.",
            headers={"Retry-After": "3600"},
        )
