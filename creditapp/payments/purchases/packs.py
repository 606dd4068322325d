"""Pack purchases: paid once at a checkout, and granted when paid."""

from __future__ import annotations

from creditapp import units
from creditapp.accounts import User
from creditapp.payments.purchases import checkout, notifications, posting
from creditapp.payments.purchases.kinds import PurchaseKind
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutRequest
from creditapp.services import get


def create_checkout(purchase: Purchase, buyer: User, request: CheckoutRequest) -> CheckoutCreated:
    """Create the checkout of a pack at Stripe."""
    return get(StripeGateway).create_checkout(
        request,
        title=f"{purchase.pack_name}: {units.credits_text(purchase.credits_micro)} credits",
        description="One payment, no subscription. These credits never expire.",
        price_minor=purchase.price_minor,
        currency=purchase.currency,
        email=buyer.email,
        price_id=purchase.stripe_price_id,
    )


PACK = PurchaseKind(
    "pack",
    fetch_state=checkout.fetch_checkout,
    post_paid=posting.post_credits,
    create_checkout=create_checkout,
    notify_paid=notifications.send_receipt,
)
