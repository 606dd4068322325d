"""Opening a purchase's checkout at Stripe, once, whatever fails on the way there and back."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update

from creditapp import units
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.errors import Conflict
from creditapp.payments import customers
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutCreated, GatewayError
from creditapp.services import get

CHECKOUT_HOURS = 24
"""After so long a purchase that nobody paid has ended: Stripe's own longest."""


class PurchaseEnded(Conflict):
    """The purchase of this key is over, and its checkout was never opened."""

    title = "This purchase has ended"


def open_checkout(purchase: Purchase, buyer: User) -> None:
    """Open the page at Stripe and note it on the row; the same purchase gives the same page.

    Raises ``PurchaseEnded`` and ``GatewayError``. No transaction is open while Stripe is asked.
    Stripe repeats its answer to an idempotency key for a day, a failure too, so each attempt has a
    key of its own; before a further one the last is looked up, or there would be two to pay.
    """
    closes_at = purchase.created_at + timedelta(hours=CHECKOUT_HOURS - 1)
    if purchase.ended or now() > closes_at - timedelta(hours=1):
        raise PurchaseEnded("Open the page of the packs again and buy anew; nothing was paid.")
    try:
        created = _opened_before(purchase) or _create_checkout(purchase, buyer, closes_at)
    except GatewayError:
        _count_attempt(purchase)
        raise
    _note_checkout(purchase, created)


def _opened_before(purchase: Purchase) -> CheckoutCreated | None:
    if purchase.attempt == 1:
        return None
    found = get(StripeGateway).find_checkout_for(purchase.id, created_after=purchase.created_at)
    if found is None or found.status == "expired":
        return None
    return CheckoutCreated(found.id, found.url or "")


def _create_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    if purchase.cycle is not None:
        return _create_plan_checkout(purchase, buyer, closes_at)
    back = f"{get(Settings).site_url}/credits/purchases/{purchase.id}/back"
    return get(StripeGateway).create_checkout(
        purchase_id=purchase.id,
        attempt=purchase.attempt,
        title=f"{purchase.pack_name}: {units.credits_text(purchase.credits_micro)} credits",
        description="One payment, no subscription. These credits never expire.",
        price_minor=purchase.price_minor,
        currency=purchase.currency,
        success_url=f"{back}?session_id={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{back}?cancelled=1",
        email=buyer.email,
        price_id=purchase.stripe_price_id,
        expires_at=closes_at,
    )


def _create_plan_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    back = f"{get(Settings).site_url}/credits/purchases/{purchase.id}/back"
    return get(StripeGateway).create_plan_checkout(
        purchase_id=purchase.id,
        customer_id=customers.ensure(buyer),
        price_id=purchase.stripe_price_id or "",
        quantity=purchase.seats,
        success_url=f"{back}?session_id={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{back}?cancelled=1",
        trial_days=purchase.trial_days,
        attempt=purchase.attempt,
        expires_at=closes_at,
    )


def _count_attempt(purchase: Purchase) -> None:
    with transaction() as session:
        session.execute(
            update(Purchase)
            # Of two that failed at once, one counts.
            .where(Purchase.id == purchase.id, Purchase.attempt == purchase.attempt)
            .values(attempt=purchase.attempt + 1)
        )


def _note_checkout(purchase: Purchase, created: CheckoutCreated) -> None:
    """Note the page, unless another request of the same key was first; then its page is the one."""
    with transaction() as session:
        session.execute(
            update(Purchase)
            .where(Purchase.id == purchase.id, Purchase.checkout_id.is_(None))
            .values(checkout_id=created.id, checkout_url=created.url)
        )
        noted = session.execute(
            select(Purchase.checkout_id, Purchase.checkout_url).where(Purchase.id == purchase.id)
        ).one()
    purchase.checkout_id, purchase.checkout_url = noted
