"""Purchases: stored, paid at Stripe, and synced until ledger and Stripe agree.

``sync_purchase`` is the one function behind the webhook, the return page, the sweep and the
operator's commands. It reads Stripe's state with no transaction open, and ``posting`` posts the
difference between the grants, freezes and revocations that should exist and those that do. Events
only name the purchase to sync, so neither their order nor their number matters.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.clock import NEVER, now
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading, transaction
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments.purchases import posting
from creditapp.payments.purchases.idempotency import FIRST_SYNC_AFTER, new_purchase, store_once
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.session import CHECKOUT_HOURS, open_checkout
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState
from creditapp.payments.sweeps import claim_version, sync_due
from creditapp.services import get

RACES_MAX = 8


class PackChanged(Conflict):
    """The pack's price or credits differ from those that the page showed."""

    title = "The price has changed"

    def __init__(
        self,
        detail: str = "Prices were changed while the page was open. Look at them and press again.",
    ) -> None:
        super().__init__(detail)


@dataclass(frozen=True)
class Order:
    """A pack to buy, the digest of the catalog that the page showed, and the return path."""

    pack_id: str
    catalog_shown: str
    return_to: str = "/credits"
    currency: str = ""
    """The currency to pay in; the catalog's own when empty."""

    def digest(self) -> str:
        """Return the digest of the order, by which a reused key is recognised."""
        # JSON may contain half of a surrogate pair, which no pack id has.
        parts = [self.pack_id, self.catalog_shown, *([self.currency] if self.currency else [])]
        text = "\n".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()


def start_checkout(order: Order, buyer: User, *, key: str) -> Purchase:
    """Store a purchase and open its checkout; redirect the buyer to its ``checkout_url``.

    The same key of the same buyer returns the same purchase (``replayed``) and the same checkout,
    so a double click buys once; a purchase that has ended meanwhile is returned as it is. Raises
    ``NotFound`` for an unknown pack, ``PackChanged`` when the prices are no longer those of
    ``catalog_shown``, ``IdempotencyKeyReused``, ``PurchaseEnded``, and ``GatewayError``; after the
    last one the purchase stays open and the same key tries again.
    """
    with transaction() as session:
        purchase = store_once(
            session, buyer, key, order.digest(), lambda: _new_pack_purchase(order, buyer, key)
        )
    if purchase.checkout_url is None and purchase.checkout_id is None:
        open_checkout(purchase, buyer)
    return purchase


def find_purchase(session: Session, purchase_id: str, owner: User) -> Purchase:
    """Return the owner's purchase; raise ``NotFound`` for anyone else's."""
    purchase = session.get(Purchase, purchase_id)
    if purchase is None or purchase.user_id != owner.id:
        raise NotFound("There is no such purchase here.")
    return purchase


def sync_purchase(purchase_id: str, *, failed_by_event: bool = False) -> Purchase:
    """Make the ledger agree with Stripe's present state of a purchase; safe to call at any time.

    ``failed_by_event`` means that a delayed payment failed, which the checkout itself does not
    show; it changes the state that the buyer sees, never credits. Raises ``NotFound`` for an
    unknown purchase and ``GatewayError`` when Stripe cannot be asked. A sync whose purchase was
    changed by another one meanwhile reads again, so none posts an outdated state.
    """
    stop_reading()
    for _ in range(RACES_MAX):
        purchase = _read(purchase_id)
        kind = kind_of(purchase)
        state = kind.fetch_state(purchase)
        if state is None:
            return _close_unknown(purchase)
        if purchase.checkout_id and state.status == "open" and _too_old(purchase):
            state = get(StripeGateway).expire_checkout(purchase.checkout_id)
        if state.paid:
            kind.sync_before_closing(state)
        with transaction() as session:
            if not claim_version(session, purchase):
                continue
            posting.post(session, purchase, state, failed_by_event=failed_by_event)
            return purchase
    raise Conflict("This purchase is being worked on. Try again in a moment.")


def sweep_purchases() -> None:
    """Sync every unfinished purchase whose next sync is due: a webhook may never arrive."""
    sync_due(Purchase, sync_purchase, retry_after=FIRST_SYNC_AFTER)


def end_unpaid(purchase_id: str, state: str, failure: str | None) -> None:
    """End an open purchase that has no payment at Stripe; leave one that has changed.

    If a payment turns up after all, the next sync posts it like any other.
    """
    purchase = _read(purchase_id)
    if purchase.state != "open" or purchase.payment_intent_id is not None:
        return
    with transaction() as session:
        if claim_version(session, purchase, state=state, next_sync_at=NEVER):
            kind_of(purchase).on_posted(session, purchase, failure)


def fetch_state(purchase: Purchase) -> CheckoutState | None:
    """Return Stripe's state of a purchase, or None; change nothing. Raises ``GatewayError``."""
    return kind_of(purchase).fetch_state(purchase)


def _new_pack_purchase(order: Order, buyer: User, key: str) -> Purchase:
    catalog, settings = get(Catalog), get(Settings)
    pack = catalog.pack(order.pack_id)
    if pack is None:
        raise NotFound("There is no such pack.")
    pack = pack.priced_in(order.currency or catalog.currency)
    if pack is None:
        raise ValidationFailed.of("currency", f"Packs are sold in {', '.join(catalog.currencies)}.")
    if order.catalog_shown and order.catalog_shown != catalog.digest:
        raise PackChanged
    return new_purchase(
        buyer.id,
        key,
        order.digest(),
        pack_id=pack.id,
        pack_name=pack.name,
        price_minor=pack.price_minor,
        currency=pack.currency,
        credits_micro=pack.credits_micro,
        # The sandbox knows no prices of a Stripe account.
        stripe_price_id=None if settings.sandbox else pack.stripe_price(settings.environ),
        return_to=order.return_to,
    )


def _read(purchase_id: str) -> Purchase:
    with snapshot() as session:
        purchase = session.get(Purchase, purchase_id)
    if purchase is None:
        raise NotFound("There is no such purchase.")
    return purchase


def _too_old(purchase: Purchase) -> bool:
    return now() - purchase.created_at > timedelta(hours=CHECKOUT_HOURS)


def _close_unknown(purchase: Purchase) -> Purchase:
    """Close a purchase that Stripe does not know, once it can no longer be paid."""
    columns: dict[str, object] = {"next_sync_at": NEVER}
    if purchase.state in ("open", "pending"):
        if _too_old(purchase):
            columns["state"] = "expired"
        else:
            columns["next_sync_at"] = posting.next_sync_at(purchase)
    with transaction() as session:
        if claim_version(session, purchase, **columns):
            kind_of(purchase).on_posted(session, purchase, None)
    return purchase
