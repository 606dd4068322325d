"""Look-up of an automatic purchase's payment at Stripe."""

from __future__ import annotations

from creditapp.db import snapshot
from creditapp.payments import customers
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutState
from creditapp.services import get


def fetch_payment(purchase: Purchase) -> CheckoutState | None:
    """Return the payment of an automatic purchase as a checkout's state, or None without one.

    Raises ``GatewayError``. A payment without a stored id is found by the purchase's id: the
    process may have died, or the connection failed, between Stripe's answer and the write.
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
