"""Idempotent purchases: each key of a buyer stores one purchase, however often it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from creditapp import accounts
from creditapp.catalog import Catalog
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


@dataclass(frozen=True)
class PurchaseRequest:
    """A buyer's request to buy: its key, the digest of what it buys, and its time."""

    buyer_id: str
    key: str
    digest: str
    now: datetime


def new_purchase(request: PurchaseRequest, **columns: Any) -> Purchase:
    """Return a new purchase, not stored yet, with the columns that every purchase shares.

    ``columns`` are the product, its price and the return path.
    """
    return Purchase(
        id=new_id("pur"),
        user_id=request.buyer_id,
        request_key=request.key,
        request_digest=request.digest,
        catalog_version=get(Catalog).version,
        livemode=get(StripeGateway).livemode,
        sandbox=get(Settings).sandbox,
        state="open",
        version=1,
        attempt=1,
        refunded_minor=0,
        created_at=request.now,
        next_sync_at=request.now + FIRST_SYNC_AFTER,
        **columns,
    )


def store_once(
    session: Session, request: PurchaseRequest, create: Callable[[], Purchase]
) -> Purchase:
    """Store the purchase that ``create`` returns, or return the one of this key (``replayed``).

    Raises ``IdempotencyKeyReused`` where the key bought something else, and ``RateLimited``.
    """
    existing = find_existing(session, request)
    if existing is not None:
        return existing
    _limit_open_checkouts(session, request)
    purchase = create()
    if insert_once(session, purchase, ["user_id", "request_key"]):
        return purchase
    existing = find_existing(session, request)
    if existing is None:
        raise RuntimeError("a purchase was neither inserted nor found")
    return existing


def find_existing(session: Session, request: PurchaseRequest) -> Purchase | None:
    """Return the purchase of this buyer's key (``replayed``), or None; store nothing.

    Raises ``IdempotencyKeyReused`` where the key bought something else.
    """
    existing = session.scalar(
        select(Purchase).where(
            Purchase.user_id == request.buyer_id, Purchase.request_key == request.key
        )
    )
    if existing is None:
        return None
    if existing.request_digest != request.digest:
        raise IdempotencyKeyReused("This key was used to buy something else.")
    existing.replayed = True
    return existing


def _limit_open_checkouts(session: Session, request: PurchaseRequest) -> None:
    """Refuse another checkout to a buyer with many unpaid ones.

    The sweep asks Stripe about each open checkout until it ends, and they all take turns. The
    buyer's row is locked: requests at the same moment would each count the checkouts before theirs.
    """
    accounts.require_open(session, request.buyer_id, alone=True)
    query = select(func.count(Purchase.id)).where(
        Purchase.user_id == request.buyer_id,
        Purchase.state == "open",
        Purchase.created_at > request.now - OPEN_CHECKOUTS.window,
    )
    if (session.scalar(query) or 0) >= OPEN_CHECKOUTS.limit:
        raise RateLimited.after(
            OPEN_CHECKOUTS.window.total_seconds(),
            "You have many unpaid checkouts. Pay one of them, or come back later.",
            limit=OPEN_CHECKOUTS.limit,
        )
