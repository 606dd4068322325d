"""Pack purchases: paid once at a checkout, and granted when paid."""

from __future__ import annotations

from datetime import datetime

from creditapp import units
from creditapp.accounts import User
from creditapp.payments.purchases import notifications, posting, session
from creditapp.payments.purchases.kinds import PurchaseKind
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutCreated
from creditapp.services import get


def create_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    """Create the checkout of a pack at Stripe."""
    return get(StripeGateway).create_checkout(
        purchase_id=purchase.id,
        attempt=purchase.attempt,
        title=f"{purchase.pack_name}: {units.credits_text(purchase.credits_micro)} credits",
        description="One payment, no subscription. These credits never expire.",
        price_minor=purchase.price_minor,
        currency=purchase.currency,
        email=buyer.email,
        price_id=purchase.stripe_price_id,
        expires_at=closes_at,
        **session.return_urls(purchase),
    )


PACK = PurchaseKind(
    "pack",
    fetch_state=session.fetch_checkout,
    post_paid=posting.post_credits,
    create_checkout=create_checkout,
    notify_paid=notifications.send_receipt,
)
