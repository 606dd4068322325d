"""Buying: a purchase is stored, paid at Stripe, and synced until ledger and Stripe agree.

``sync`` is the one function behind the webhook, the return page, the sweep and the operator's
buttons. It reads what Stripe says now, with no transaction open, and lets ``posting`` post the
difference between what should be granted, frozen and revoked in total and what is. Events only
name what to sync, so neither their order nor their number matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.catalog import Catalog, Pack
from creditapp.clock import NEVER, now
from creditapp.config import Settings
from creditapp.db import changed, snapshot, stop_reading, transaction
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments.auto_topup import lookup as topup_lookup
from creditapp.payments.auto_topup import outcomes as topup_outcomes
from creditapp.payments.purchases import posting
from creditapp.payments.purchases.idempotency import FIRST_LOOK, new_purchase, store_once
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.session import CHECKOUT_HOURS, open_checkout
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState, GatewayError
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.services import get

RACES_MAX = 8
SWEEP_MAX = 50

log = structlog.get_logger(__name__)


class PackChanged(Conflict):
    """The pack costs or gives something else than the page showed."""

    title = "The price has changed"


@dataclass(frozen=True)
class Order:
    """Which pack, the catalog's digest that the page showed, and where to go after."""

    pack_id: str
    catalog_shown: str
    return_to: str = "/credits"
    currency: str = ""
    """In which it is paid; nothing is the catalog's own."""

    def digest(self) -> str:
        """Return the digest of what is being bought."""
        # JSON may carry half of a pair of surrogates, which no pack is named by.
        parts = [self.pack_id, self.catalog_shown, *([self.currency] if self.currency else [])]
        text = "\n".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()


def start(order: Order, buyer: User, *, key: str) -> Purchase:
    """Store a purchase and open its checkout; return it with ``checkout_url`` to go to.

    The same key of the same buyer returns the same purchase (``replayed``) and the same checkout,
    so a double click buys once; one that has ended meanwhile is returned as it is. Raises
    ``NotFound`` for an unknown pack, ``PackChanged`` when the prices are no longer those of
    ``catalog_shown``, ``IdempotencyKeyReused``, ``PurchaseEnded``, and ``GatewayError``; after the
    last one the purchase stays open and the same key tries again.
    """
    with transaction() as session:
        purchase = store_once(
            session, buyer, key, order.digest(), lambda: _priced(order, buyer, key)
        )
    if purchase.checkout_url is None and purchase.checkout_id is None:
        open_checkout(purchase, buyer)
    return purchase


def find(session: Session, purchase_id: str, owner: User) -> Purchase:
    """Return the owner's own purchase; ``NotFound`` for a stranger's."""
    purchase = session.get(Purchase, purchase_id)
    if purchase is None or purchase.user_id != owner.id:
        raise NotFound("There is no such purchase here.")
    return purchase


def recent(session: Session, owner: User, since: datetime) -> list[Purchase]:
    """Return the owner's purchases since a moment, the newest first."""
    return list(
        session.scalars(
            select(Purchase)
            .where(Purchase.user_id == owner.id, Purchase.created_at >= since)
            .order_by(Purchase.created_at.desc())
            .limit(50)
        )
    )


def sync(purchase_id: str, *, failed_by_event: bool = False) -> Purchase:
    """Make the ledger agree with what Stripe says about a purchase now; safe to call at any time.

    ``failed_by_event`` says that a delayed payment failed, which the checkout itself does not show;
    it changes a word for the buyer and never credits. Raises ``NotFound`` for a purchase that does
    not exist and ``GatewayError`` when Stripe cannot be asked. Of two syncs at once, the one that
    finds the purchase changed under it reads again, so none posts on old news.
    """
    stop_reading()
    for _ in range(RACES_MAX):
        purchase = _read(purchase_id)
        checkout = _ask_stripe(purchase)
        if checkout is None:
            return _note_nothing_opened(purchase)
        if purchase.cycle is not None and checkout.paid and checkout.subscription_id:
            # Before the purchase is closed: whoever dies in between comes back here.
            subscription_sync.sync_subscription(checkout.subscription_id)
        with transaction() as session:
            if not _claim_version(session, purchase):
                continue
            posting.post(session, purchase, checkout, failed_by_event=failed_by_event)
            return purchase
    raise Conflict("This purchase is being worked on. Try again in a moment.")


def sweep() -> None:
    """Sync every purchase that may still change and was not heard of: a webhook may never come."""
    with snapshot() as session:
        due = session.execute(
            select(Purchase.id, Purchase.next_sync_at)
            .where(Purchase.next_sync_at <= now())
            .order_by(Purchase.next_sync_at)
            .limit(SWEEP_MAX)
        ).all()
    for purchase_id, due_at in due:
        if not _claim_look(purchase_id, due_at):
            continue
        try:
            sync(purchase_id)
        except Exception as error:
            # One purchase that cannot be asked about must not keep the others waiting.
            log.warning("sync failed", purchase=purchase_id, error_type=type(error).__name__)


def end_unpaid(purchase_id: str, state: str, failure: str | None) -> None:
    """End an automatic purchase of which Stripe has no payment; one that has moved is left.

    Should a payment turn up after all, the next sync posts it as any other.
    """
    purchase = _read(purchase_id)
    if purchase.state != "open" or purchase.payment_intent_id is not None:
        return
    with transaction() as session:
        if _claim_version(session, purchase):
            posting.write(session, purchase, state=state, next_sync_at=NEVER)
            topup_outcomes.note(session, purchase, failure)


def _priced(order: Order, buyer: User, key: str) -> Purchase:
    catalog, settings = get(Catalog), get(Settings)
    pack = catalog.pack(order.pack_id)
    if pack is None:
        raise NotFound("There is no such pack.")
    pack = pack.priced_in(order.currency or catalog.currency)
    if pack is None:
        raise ValidationFailed.of("currency", f"Packs are sold in {', '.join(catalog.currencies)}.")
    if order.catalog_shown and order.catalog_shown != catalog.digest:
        raise PackChanged(
            "Prices were changed while the page was open. Look at them and press again."
        )
    return new_purchase(
        buyer.id,
        key,
        order.digest(),
        pack_id=pack.id,
        pack_name=pack.name,
        price_minor=pack.price_minor,
        currency=pack.currency,
        credits_micro=pack.credits_micro,
        stripe_price_id=_price_id(pack, settings),
        return_to=order.return_to,
    )


def _price_id(pack: Pack, settings: Settings) -> str | None:
    if settings.sandbox:
        return None  # the sandbox knows no prices of somebody's Stripe account
    return pack.stripe_price(settings.environ)


def _read(purchase_id: str) -> Purchase:
    with snapshot() as session:
        purchase = session.get(Purchase, purchase_id)
    if purchase is None:
        raise NotFound("There is no such purchase.")
    return purchase


def fetch_state(purchase: Purchase) -> CheckoutState | None:
    """Return what Stripe says about a purchase that is known there, changing nothing; else None.

    Raises ``GatewayError``.
    """
    if purchase.automatic:
        return _known(lambda: topup_lookup.payment_of(purchase))
    checkout_id = purchase.checkout_id
    if checkout_id is None:
        return None
    return _known(lambda: get(StripeGateway).retrieve_checkout(checkout_id))


def _ask_stripe(purchase: Purchase) -> CheckoutState | None:
    """Return what Stripe says, or None when it knows no checkout of this purchase."""
    gateway = get(StripeGateway)
    checkout_id = purchase.checkout_id
    if checkout_id is None and not purchase.automatic:
        # Its id never reached us: the process died between Stripe's answer and our note of it.
        return gateway.find_checkout_for(purchase.id, created_after=purchase.created_at)
    checkout = fetch_state(purchase)
    if checkout_id and checkout and checkout.status == "open" and _too_old(purchase):
        checkout = _known(lambda: gateway.expire_checkout(checkout_id))
    return checkout


def _known(ask: Callable[[], CheckoutState | None]) -> CheckoutState | None:
    """Return Stripe's answer, or None for what was made with another account's key."""
    try:
        return ask()
    except GatewayError as error:
        if error.code != "resource_missing":
            raise
        return None


def _too_old(purchase: Purchase) -> bool:
    return now() - purchase.created_at > timedelta(hours=CHECKOUT_HOURS)


def _note_nothing_opened(purchase: Purchase) -> Purchase:
    """Close a purchase of which Stripe knows nothing, once it could not be paid any more."""
    values: dict[str, object] = {"next_sync_at": NEVER}
    if purchase.state in ("open", "pending"):
        values = (
            {"state": "expired", "next_sync_at": NEVER}
            if _too_old(purchase)
            else {"next_sync_at": posting.next_look(purchase)}
        )
    with transaction() as session:
        if _claim_version(session, purchase):
            posting.write(session, purchase, **values)
            if purchase.automatic:
                topup_outcomes.note(session, purchase, None)
    return purchase


def _claim_version(session: Session, purchase: Purchase) -> bool:
    """Lock the purchase, unless it changed since it was read."""
    claimed = session.execute(
        update(Purchase)
        .where(Purchase.id == purchase.id, Purchase.version == purchase.version)
        .values(version=purchase.version + 1)
        .execution_options(synchronize_session=False)
    )
    if changed(claimed) == 0:
        return False
    purchase.version += 1
    return True


def _claim_look(purchase_id: str, due_at: datetime) -> bool:
    """Put the next look off before this one, so that no other sweep and no failure repeats it."""
    with transaction() as session:
        claimed = session.execute(
            update(Purchase)
            .where(Purchase.id == purchase_id, Purchase.next_sync_at == due_at)
            .values(next_sync_at=now() + FIRST_LOOK)
            .execution_options(synchronize_session=False)
        )
        return changed(claimed) == 1
