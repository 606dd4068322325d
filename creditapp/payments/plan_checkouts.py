"""The checkout that a plan begins with, and that a buyer has one open at a time."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.catalog.sales import Plan
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.ids import new_id
from creditapp.payments import checkout, plan_prices
from creditapp.payments.changing import PlanOrder, PlanUnchanged
from creditapp.payments.gateway import Gateway
from creditapp.payments.models import Purchase
from creditapp.payments.opening import open_checkout
from creditapp.payments.plan_models import PlanPrice, Subscription
from creditapp.payments.purchase_keys import bought_before, store_once
from creditapp.wiring import the


def start(order: PlanOrder, plan: Plan, buyer: User, *, key: str) -> Purchase:
    """Store a purchase of a plan and open its checkout; the same key gives the same ones.

    For somebody without a plan. Raises ``PlanUnchanged`` when they have just subscribed in another
    window, and as ``checkout.start``. No transaction is open while Stripe is asked.
    """
    _close_other_checkouts(buyer, key)
    price = plan_prices.ensure(plan, order.cycle)
    with transaction() as session:
        purchase = store_once(
            session,
            buyer,
            key,
            order.digest(),
            lambda: _priced(session, order, plan, price, buyer, key),
        )
    return _opened(purchase, buyer)


def earlier(order: PlanOrder, buyer: User, *, key: str) -> Purchase | None:
    """Return the purchase that began with this key before, its checkout opened; or None.

    Whatever became of it since: it may be paid, and the buyer may be on another plan by now.
    Raises ``IdempotencyKeyReused`` where the key bought something else, ``PurchaseEnded`` and
    ``GatewayError``.
    """
    with snapshot() as session:
        purchase = bought_before(session, buyer, key, order.digest())
    return None if purchase is None else _opened(purchase, buyer)


def may_try(session: Session, plan: Plan, user_id: str) -> bool:
    """Return whether a person may try a plan before paying: once, and before any other."""
    if not plan.trial_days:
        return False
    had = select(Subscription.id).where(Subscription.user_id == user_id).limit(1)
    return session.scalar(had) is None


def _opened(purchase: Purchase, buyer: User) -> Purchase:
    if purchase.checkout_url is None and purchase.checkout_id is None:
        open_checkout(purchase, buyer)
    return purchase


def _close_other_checkouts(buyer: User, key: str) -> None:
    """Close every other open way to subscribe: two tabs must not end in two subscriptions."""
    query = select(Purchase.id, Purchase.checkout_id).where(
        Purchase.user_id == buyer.id,
        Purchase.cycle.is_not(None),
        Purchase.state == "open",
        Purchase.request_key != key,
    )
    with snapshot() as session:
        others = session.execute(query).all()
    for purchase_id, checkout_id in others:
        if checkout_id is not None:
            the(Gateway).expire_checkout(checkout_id)
        if checkout.sync(purchase_id).state == "paid":
            raise PlanUnchanged("You have just subscribed in another window.")


def _priced(
    session: Session, order: PlanOrder, plan: Plan, price: PlanPrice, buyer: User, key: str
) -> Purchase:
    moment = now()
    return Purchase(
        id=new_id("pur"),
        user_id=buyer.id,
        request_key=key,
        request_digest=order.digest(),
        pack_id=plan.id,
        pack_name=plan.name,
        catalog_version=the(Catalog).version,
        price_minor=price.price_minor,
        currency=plan.currency,
        credits_micro=plan.credits_micro * order.seats,
        stripe_price_id=price.id,
        cycle=order.cycle,
        seats=order.seats,
        trial_days=plan.trial_days if may_try(session, plan, buyer.id) else 0,
        livemode=the(Gateway).livemode,
        sandbox=the(Settings).sandbox,
        state="open",
        version=1,
        attempt=1,
        return_to=order.return_to,
        refunded_minor=0,
        created_at=moment,
        next_sync_at=moment + checkout.FIRST_LOOK,
    )
