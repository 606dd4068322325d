"""The checkout that a plan begins with, and that a buyer has one open at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from creditapp.accounts import User
from creditapp.catalog.products import Plan
from creditapp.db import snapshot, transaction
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.idempotency import find_existing, new_purchase, store_once
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.session import open_checkout
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanOrder, PlanUnchanged
from creditapp.payments.subscriptions.models import PlanPrice, Subscription
from creditapp.services import get

_TAKEN = ("paid", "pending", "review")
"""How a purchase stands whose checkout the buyer has completed."""

_SUBSCRIBED = "You have just subscribed in another window."


def start(order: PlanOrder, plan: Plan, buyer: User, *, key: str) -> Purchase:
    """Store a purchase of a plan and open its checkout; the same key gives the same ones.

    For somebody without a plan. Raises ``PlanUnchanged`` when they have just subscribed, or chosen
    a plan, in another window, and as ``checkout.start``. No transaction is open while Stripe is
    asked.
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
    Raises ``IdempotencyKeyReused`` where the key bought something else, ``PurchaseEnded``,
    ``PlanUnchanged`` where its checkout was still open beside another one or a plan, and
    ``GatewayError``.
    """
    with snapshot() as session:
        purchase = find_existing(session, buyer, key, order.digest())
    return None if purchase is None else _opened(purchase, buyer)


def may_try(session: Session, plan: Plan, user_id: str) -> bool:
    """Return whether a person may try a plan before paying: once, and before any other.

    Another account of the same person, by another spelling of the address or after the first was
    deleted, counts too.
    """
    if not plan.trial_days:
        return False
    mine = aliased(User)
    had = (
        select(Subscription.id)
        .join(User, User.id == Subscription.user_id)
        .join(mine, mine.person_hash == User.person_hash)
        .where(mine.id == user_id)
        .limit(1)
    )
    return session.scalar(had) is None


def _close_other_checkouts(buyer: User, key: str) -> None:
    """Close every other open way to subscribe: two tabs must not end in two subscriptions."""
    with snapshot() as session:
        others = [each for each in _open_ones(session, buyer.id) if each.request_key != key]
    for other in others:
        if _closed(other).state in _TAKEN:
            raise PlanUnchanged(_SUBSCRIBED)


def _opened(purchase: Purchase, buyer: User) -> Purchase:
    if purchase.checkout_url is None and purchase.checkout_id is None:
        open_checkout(purchase, buyer)
    return purchase if purchase.ended else _alone(purchase)


def _alone(mine: Purchase) -> Purchase:
    """Return a purchase once its checkout is the only open way to subscribe; else close it.

    Two windows at once both find nothing to close before either has stored its purchase. So each
    looks once more here, after it has noted its own checkout; therefore of two at once at least one
    sees the other, and the older one is closed. If the older looks after the newer was stored, it
    sees that one and gives way. If it looked before, its checkout was noted by then, and the newer,
    which looks later still, finds and closes it. An older one without a noted checkout is left to
    its own look; until then nobody was told its address.

    Raises ``PlanUnchanged`` where this one is closed, and ``GatewayError`` where one could not be.
    Then the address stays untold, and the same key comes here again.
    """
    with snapshot() as session:
        others = [each for each in _open_ones(session, mine.user_id) if each.id != mine.id]
        subscribed = subscription_sync.live_of(session, mine.user_id) is not None
    if subscribed:
        return _withdrawn(mine, _SUBSCRIBED)
    if any((each.created_at, each.id) > (mine.created_at, mine.id) for each in others):
        return _withdrawn(mine, "You chose a plan in another window just now. Go on there.")
    for older in others:
        if older.checkout_id is not None and _closed(older).state in _TAKEN:
            return _withdrawn(mine, _SUBSCRIBED)
    return mine


def _withdrawn(mine: Purchase, words: str) -> Purchase:
    """Close a checkout and refuse it with ``words``; return it if it was paid: it is the plan."""
    closed = _closed(mine)
    if closed.state in _TAKEN:
        closed.replayed = mine.replayed
        return closed
    with transaction() as session:
        # A refusal is not stored: who asks again with the same key asks anew.
        session.execute(
            update(Purchase)
            .where(Purchase.id == mine.id, Purchase.state == "expired")
            .values(request_key=f"withdrawn:{mine.id}")
        )
    raise PlanUnchanged(words)


def _closed(purchase: Purchase) -> Purchase:
    """Expire a checkout, if there is one, and return the purchase as Stripe says it stands."""
    if purchase.checkout_id is not None:
        get(StripeGateway).expire_checkout(purchase.checkout_id)
    return checkout.sync(purchase.id)


def _open_ones(session: Session, user_id: str) -> Sequence[Purchase]:
    return session.scalars(
        select(Purchase).where(
            Purchase.user_id == user_id, Purchase.cycle.is_not(None), Purchase.state == "open"
        )
    ).all()


def _priced(
    session: Session, order: PlanOrder, plan: Plan, price: PlanPrice, buyer: User, key: str
) -> Purchase:
    return new_purchase(
        buyer.id,
        key,
        order.digest(),
        pack_id=plan.id,
        pack_name=plan.name,
        price_minor=price.price_minor,
        currency=plan.currency,
        credits_micro=plan.credits_micro * order.seats,
        stripe_price_id=price.id,
        cycle=order.cycle,
        seats=order.seats,
        trial_days=plan.trial_days if may_try(session, plan, buyer.id) else 0,
        return_to=order.return_to,
    )
