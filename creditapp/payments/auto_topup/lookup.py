"""What Stripe says about an automatic purchase: its payment, in the terms of a checkout."""

from __future__ import annotations

from creditapp.db import snapshot
from creditapp.payments import customers
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState
from creditapp.services import get


def payment_of(purchase: Purchase) -> CheckoutState | None:
    """Return the payment of a purchase that has no checkout, or None where none was made.

    Raises ``GatewayError``. A payment whose id never reached us is looked for by the purchase's
    number: the process died, or the line, between Stripe's answer and our note of it.
    """
    gateway = get(StripeGateway)
    if purchase.payment_intent_id is not None:
        return gateway.retrieve_payment(purchase.payment_intent_id)
    with snapshot() as session:
        customer_id = customers.find(session, purchase.user_id)
    if customer_id is None:
        return None
    return gateway.find_payment_for(
        purchase.id, customer_id=customer_id, created_after=purchase.created_at
    )
