"""Pack purchases: ordered, paid once at a checkout, and granted when paid."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import structlog

from creditapp import clock, units
from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments import customers
from creditapp.payments.purchases import checkout, notifications, posting
from creditapp.payments.purchases.idempotency import PurchaseRequest, new_purchase, store_once
from creditapp.payments.purchases.kinds import PurchaseKind
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutRequest, GatewayError
from creditapp.services import get

log = structlog.get_logger(__name__)


class PackChanged(Conflict):
    """The pack's price or credits differ from those that the page showed."""

    title = "The price has changed"

    def __init__(self) -> None:
        super().__init__(
            "Prices were changed while the page was open. Look at them and press again."
        )


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
    request = PurchaseRequest(buyer.id, key, order.digest(), clock.now())
    with transaction() as session:
        purchase = store_once(session, request, lambda: _new_pack_purchase(order, request))
    checkout.open_checkout(purchase, buyer)
    return purchase


def refuse_changed_prices(catalog_shown: str) -> None:
    """Raise ``PackChanged`` unless the page showed (or the caller names) no other prices."""
    if catalog_shown and catalog_shown != get(Catalog).digest:
        raise PackChanged


def _new_pack_purchase(order: Order, request: PurchaseRequest) -> Purchase:
    catalog, settings = get(Catalog), get(Settings)
    pack = catalog.pack(order.pack_id)
    if pack is None:
        raise NotFound("There is no such pack.")
    pack = pack.priced_in(order.currency or catalog.currency)
    if pack is None:
        raise ValidationFailed.of("currency", f"Packs are sold in {', '.join(catalog.currencies)}.")
    refuse_changed_prices(order.catalog_shown)
    return new_purchase(
        request,
        pack_id=pack.id,
        pack_name=pack.name,
        price_minor=pack.price_minor,
        currency=pack.currency,
        credits_micro=pack.credits_micro,
        # The sandbox knows no prices of a Stripe account.
        stripe_price_id=None if settings.sandbox else pack.stripe_price(settings.environ),
        return_to=order.return_to,
    )


def _create_checkout(purchase: Purchase, buyer: User, request: CheckoutRequest) -> CheckoutCreated:
    """Create the checkout of a pack at Stripe."""
    try:
        with customers.customer_of(buyer) as customer_id:
            return get(StripeGateway).create_checkout(
                request,
                title=f"{purchase.pack_name}: {units.credits_text(purchase.credits_micro)} credits",
                description="One payment, no subscription. These credits never expire.",
                price_minor=purchase.price_minor,
                currency=purchase.currency,
                customer_id=customer_id,
                price_id=purchase.stripe_price_id,
            )
    except GatewayError as error:
        if not error.price_refused or purchase.stripe_price_id is None:
            raise
        log.error(
            "price of the catalog is not for sale at Stripe",
            pack=purchase.pack_id,
            price=purchase.stripe_price_id,
        )
        raise checkout.PriceUnavailable from None


PACK = PurchaseKind(
    "pack",
    fetch_state=checkout.fetch_checkout,
    post_paid=posting.post_credits,
    create_checkout=_create_checkout,
    notify_paid=notifications.send_receipt,
)
