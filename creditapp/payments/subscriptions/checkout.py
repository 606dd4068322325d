"""Checkout of a plan, whose invoices grant its credits; a buyer has at most one open at a time.

A service: it calls Stripe with no transaction open and commits its own short transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from creditapp import clock
from creditapp.accounts import User
from creditapp.catalog.products import Plan
from creditapp.clock import NEVER
from creditapp.db import snapshot, transaction, update_if
from creditapp.payments import customers
from creditapp.payments.customers import ReplacedAtStripe
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.idempotency import (
    PurchaseRequest,
    find_existing,
    new_purchase,
    store_once,
)
from creditapp.payments.purchases.kinds import PurchaseKind
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutRequest,
    CheckoutState,
    GatewayError,
)
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder, PlanUnchanged
from creditapp.payments.subscriptions.models import PlanPrice, Subscription
from creditapp.services import get

_COMPLETED_STATES = ("paid", "pending", "review")
"""States of a purchase whose checkout the buyer has completed."""

_SUBSCRIBED = "You have just subscribed in another window."


def start_plan_checkout(order: PlanOrder, plan: Plan, buyer: User, *, key: str) -> Purchase:
    """Store a purchase of a plan and open its checkout; the same key returns the same ones.

    For a buyer without a plan. Raises ``PlanUnchanged`` if they have just subscribed to or chosen a
    plan in another window; otherwise like ``packs.start_checkout``.
    """
    _close_other_checkouts(buyer, key)
    price = plan_prices.ensure_price(plan, order.cycle)
    request = _request(order, buyer, key)
    with transaction() as session:
        purchase = store_once(
            session, request, lambda: _new_plan_purchase(session, order, plan, price, request)
        )
    return _open(purchase, buyer)


def resume_checkout(order: PlanOrder, buyer: User, *, key: str) -> Purchase | None:
    """Return the purchase that this key began before, its checkout opened; None for a new key.

    It is returned whatever happened since: it may be paid, and the buyer may have another plan.
    Raises ``IdempotencyKeyReused`` if the key bought something else, ``PurchaseEnded``,
    ``PlanUnchanged`` if its checkout was still open beside another one or a plan, and
    ``GatewayError``.
    """
    with snapshot() as session:
        purchase = find_existing(session, _request(order, buyer, key))
    return None if purchase is None else _open(purchase, buyer)


def is_trial_eligible(session: Session, plan: Plan, user_id: str) -> bool:
    """Return whether a user may try a plan before paying: once, and before any other plan.

    Other accounts of the same person count too: another spelling of the email address, or an
    account made after the first was deleted.
    """
    if not plan.trial_days:
        return False
    same_person = aliased(User)
    earlier = (
        select(Subscription.id)
        .join(User, User.id == Subscription.user_id)
        .join(same_person, same_person.person_hash == User.person_hash)
        .where(same_person.id == user_id)
        .limit(1)
    )
    return session.scalar(earlier) is None


def _close_other_checkouts(buyer: User, key: str) -> None:
    """Close the buyer's other plan checkouts: two tabs must not end in two subscriptions."""
    with snapshot() as session:
        purchases = _open_plan_purchases(session, buyer.id)
    for purchase in purchases:
        if purchase.request_key != key and _close(purchase).state in _COMPLETED_STATES:
            raise PlanUnchanged(_SUBSCRIBED)


def _open(purchase: Purchase, buyer: User) -> Purchase:
    checkout.open_checkout(purchase, buyer)
    return purchase if purchase.ended else _close_concurrent(purchase)


def _close_concurrent(purchase: Purchase) -> Purchase:
    """Return a purchase once its checkout is the buyer's only open one; otherwise withdraw it.

    Two windows at once both find nothing to close before either has stored its purchase. So each
    checks again here, after storing the id of its own checkout: at least one of them sees the
    other, and the older one is closed. If the older checks after the newer was stored, it sees the
    newer and withdraws. If it checked before, its checkout id was stored by then, and the newer,
    which checks later, finds and closes it. An older purchase without a stored checkout id is left
    to its own check; its URL is not returned to the buyer before that.

    Raises ``PlanUnchanged`` if this one is withdrawn, and ``GatewayError`` if a checkout could not
    be closed. Then the URL is not returned either, and the same key tries again.
    """
    with snapshot() as session:
        others = [
            other
            for other in _open_plan_purchases(session, purchase.user_id)
            if other.id != purchase.id
        ]
        is_subscribed = subscription_sync.find_current(session, purchase.user_id) is not None
    if is_subscribed:
        return _withdraw(purchase, _SUBSCRIBED)
    age_key = (purchase.created_at, purchase.id)
    if any((other.created_at, other.id) > age_key for other in others):
        return _withdraw(purchase, "You chose a plan in another window just now. Go on there.")
    for older in others:
        if older.checkout_id is not None and _close(older).state in _COMPLETED_STATES:
            return _withdraw(purchase, _SUBSCRIBED)
    return purchase


def _withdraw(purchase: Purchase, reason: str) -> Purchase:
    """Close a checkout and raise ``PlanUnchanged``; return the purchase instead if it was paid."""
    closed = _close(purchase)
    if closed.state in _COMPLETED_STATES:
        closed.replayed = purchase.replayed
        return closed
    with transaction() as session:
        # Free the key: a refused request may be repeated with the same key.
        is_expired = Purchase.state == "expired"
        update_if(session, purchase, is_expired, request_key=f"withdrawn:{purchase.id}")
    raise PlanUnchanged(reason)


def _close(purchase: Purchase) -> Purchase:
    """Expire the purchase's checkout at Stripe, if there is one, and return it synced."""
    if purchase.checkout_id is not None:
        get(StripeGateway).expire_checkout(purchase.checkout_id)
    return checkout.sync_purchase(purchase.id)


def _open_plan_purchases(session: Session, user_id: str) -> Sequence[Purchase]:
    return session.scalars(
        select(Purchase).where(
            Purchase.user_id == user_id, Purchase.cycle.is_not(None), Purchase.state == "open"
        )
    ).all()


def _request(order: PlanOrder, buyer: User, key: str) -> PurchaseRequest:
    return PurchaseRequest(buyer.id, key, order.digest(), clock.now())


def _new_plan_purchase(
    session: Session, order: PlanOrder, plan: Plan, price: PlanPrice, request: PurchaseRequest
) -> Purchase:
    is_eligible = is_trial_eligible(session, plan, request.buyer_id)
    return new_purchase(
        request,
        pack_id=plan.id,
        pack_name=plan.name,
        price_minor=price.price_minor,
        currency=plan.currency,
        credits_micro=plan.credits_micro * order.seats,
        stripe_price_id=price.id,
        cycle=order.cycle,
        seats=order.seats,
        trial_days=plan.trial_days if is_eligible else 0,
        return_to=order.return_to,
    )


def _create_checkout(purchase: Purchase, buyer: User, request: CheckoutRequest) -> CheckoutCreated:
    price_id = purchase.stripe_price_id or ""
    try:
        with customers.customer_of(buyer) as customer_id:
            return get(StripeGateway).create_plan_checkout(
                request,
                customer_id=customer_id,
                price_id=price_id,
                quantity=purchase.seats,
                trial_days=purchase.trial_days,
            )
    except GatewayError as error:
        if not error.price_refused:
            raise
        price = plan_prices.replace_price(price_id)
        with transaction() as session:
            is_same = Purchase.stripe_price_id == price_id
            update_if(session, purchase, is_same, stripe_price_id=price.id)
        raise ReplacedAtStripe("price") from None


def _sync_subscription(state: CheckoutState) -> None:
    if state.subscription_id:
        subscription_sync.sync_subscription(state.subscription_id)


def _post_paid(
    _session: Session, purchase: Purchase, state: CheckoutState, now: datetime
) -> dict[str, object]:
    """Return the columns of a paid purchase; its subscription has posted the first invoice."""
    return {
        "state": "paid",
        "subscription_id": state.subscription_id,
        "paid_at": purchase.paid_at or now,
        "next_sync_at": NEVER,
    }


PLAN = PurchaseKind(
    "plan",
    fetch_state=checkout.fetch_checkout,
    post_paid=_post_paid,
    create_checkout=_create_checkout,
    sync_before_closing=_sync_subscription,
)
