"""Checkout sessions: open a purchase's page at Stripe exactly once, and read it again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypedDict

from creditapp.accounts import User
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import transaction, update_if
from creditapp.errors import Conflict
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutState, GatewayError
from creditapp.services import get

CHECKOUT_HOURS = 24
"""An unpaid purchase ends after this long, the longest that Stripe keeps a checkout open."""


class ReturnUrls(TypedDict):
    """Addresses to which Stripe sends the buyer after the checkout."""

    success_url: str
    cancel_url: str


class PurchaseEnded(Conflict):
    """The purchase of this key has ended, and its checkout was never opened."""

    title = "This purchase has ended"


def open_checkout(purchase: Purchase, buyer: User) -> None:
    """Create the checkout at Stripe and store it on the row; one purchase has one checkout.

    Raises ``PurchaseEnded`` and ``GatewayError``. No transaction is open while Stripe is asked.
    Stripe repeats its answer to an idempotency key for a day, failures included, so each attempt
    has a key of its own. A second attempt first looks for the checkout of the last one; otherwise
    there could be two to pay.
    """
    closes_at = purchase.created_at + timedelta(hours=CHECKOUT_HOURS - 1)
    if purchase.ended or now() > closes_at - timedelta(hours=1):
        raise PurchaseEnded("This checkout has expired. You were not charged; please start again.")
    try:
        created = _find_earlier_attempt(purchase) or _create_checkout(purchase, buyer, closes_at)
    except GatewayError:
        _count_attempt(purchase)
        raise
    _store_checkout(purchase, created)


def fetch_checkout(purchase: Purchase) -> CheckoutState | None:
    """Return the purchase's checkout at Stripe, or None where Stripe knows none.

    Raises ``GatewayError``. A checkout without a stored id is found by the purchase's id: the
    process may have died between Stripe's answer and the write.
    """
    gateway = get(StripeGateway)
    if purchase.checkout_id is None:
        return gateway.find_checkout_for(purchase.id, created_after=purchase.created_at)
    return gateway.retrieve_checkout(purchase.checkout_id)


def return_urls(purchase: Purchase) -> ReturnUrls:
    """Return the addresses of the purchase's return page."""
    url = f"{get(Settings).site_url}/credits/purchases/{purchase.id}/back"
    return {
        "success_url": f"{url}?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{url}?cancelled=1",
    }


def _find_earlier_attempt(purchase: Purchase) -> CheckoutCreated | None:
    if purchase.attempt == 1:
        return None
    state = get(StripeGateway).find_checkout_for(purchase.id, created_after=purchase.created_at)
    if state is None or state.status == "expired":
        return None
    return CheckoutCreated(state.id, state.url or "")


def _create_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    create = kind_of(purchase).create_checkout
    if create is None:
        raise RuntimeError(f"{purchase.id} is paid without a checkout")
    return create(purchase, buyer, closes_at)


def _count_attempt(purchase: Purchase) -> None:
    with transaction() as session:
        # Of two that failed at once, one counts.
        is_same = Purchase.attempt == purchase.attempt
        update_if(session, purchase, is_same, attempt=purchase.attempt + 1)


def _store_checkout(purchase: Purchase, created: CheckoutCreated) -> None:
    """Store the checkout, unless another request with the same key stored its own first."""
    with transaction() as session:
        is_first = Purchase.checkout_id.is_(None)
        columns = {"checkout_id": created.id, "checkout_url": created.url}
        if not update_if(session, purchase, is_first, **columns):
            stored = session.get_one(Purchase, purchase.id)
            purchase.checkout_id, purchase.checkout_url = stored.checkout_id, stored.checkout_url
