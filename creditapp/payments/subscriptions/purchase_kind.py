"""Plan purchases: a checkout that starts a subscription, whose invoices grant the credits."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.clock import NEVER, now
from creditapp.payments import customers
from creditapp.payments.purchases import session as checkout_session
from creditapp.payments.purchases.kinds import PurchaseKind
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutState
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.services import get


def _create_checkout(purchase: Purchase, buyer: User, closes_at: datetime) -> CheckoutCreated:
    return get(StripeGateway).create_plan_checkout(
        purchase_id=purchase.id,
        customer_id=customers.ensure(buyer),
        price_id=purchase.stripe_price_id or "",
        quantity=purchase.seats,
        trial_days=purchase.trial_days,
        attempt=purchase.attempt,
        expires_at=closes_at,
        **checkout_session.return_urls(purchase),
    )


def _sync_subscription(state: CheckoutState) -> None:
    if state.subscription_id:
        subscription_sync.sync_subscription(state.subscription_id)


def _post_paid(_session: Session, purchase: Purchase, state: CheckoutState) -> dict[str, object]:
    """Return the columns of a paid purchase; its subscription has posted the first invoice."""
    return {
        "state": "paid",
        "subscription_id": state.subscription_id,
        "paid_at": purchase.paid_at or now(),
        "next_sync_at": NEVER,
    }


PLAN = PurchaseKind(
    "plan",
    fetch_state=checkout_session.fetch_checkout,
    post_paid=_post_paid,
    create_checkout=_create_checkout,
    sync_before_closing=_sync_subscription,
)
