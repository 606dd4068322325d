"""Plans as people meet them: subscribe, upgrade now, downgrade or leave at the period's end.

Nothing here writes credits: each verb tells Stripe what is wanted and syncs what comes of it.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.catalog.sales import Plan
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading, transaction
from creditapp.errors import NotFound, ValidationFailed
from creditapp.ids import new_id
from creditapp.payments import changing, checkout, customers, plan_prices, subscriptions
from creditapp.payments.changing import Chosen, PlanOrder, PlanUnchanged
from creditapp.payments.gateway import Gateway
from creditapp.payments.models import Purchase
from creditapp.payments.opening import open_checkout
from creditapp.payments.plan_models import CYCLES, PlanPrice, Subscription
from creditapp.wiring import the

PORTAL_FLOWS = {
    "card": "payment_method_update",
    "cancel": "subscription_cancel",
    "plan": "subscription_update",
}


def choose(order: PlanOrder, buyer: User, *, key: str) -> Chosen:
    """Subscribe, or change the plan that the buyer is on; safe to repeat with the same ``key``.

    Raises ``NotFound`` for an unknown plan, ``ValidationFailed``, ``PackChanged``,
    ``PlanUnchanged``, ``PaymentDeclined`` and ``GatewayError``. No transaction is open while Stripe
    is asked.
    """
    plan = _ordered(order)
    stop_reading()
    with snapshot() as session:
        live = subscriptions.live_of(session, buyer.id)
    if live is not None:
        return changing.change(live, plan, order)
    if plan.free:
        raise PlanUnchanged("You are on the Free plan already.")
    return Chosen("checkout", purchase=_subscribe(order, plan, buyer, key))


def preview(order: PlanOrder, buyer: User) -> changing.Preview | None:
    """Return what an upgrade would charge and give now; None where the choice is no upgrade.

    Raises as ``choose``; nothing is changed.
    """
    plan = _ordered(order)
    stop_reading()
    with snapshot() as session:
        live = subscriptions.live_of(session, buyer.id)
    return None if live is None else changing.preview(live, plan, order)


def cancel(buyer: User) -> Subscription:
    """Let the buyer's plan end with the time that is paid; doing it twice does it once.

    Raises ``PlanUnchanged`` without a plan, and ``GatewayError``.
    """
    return changing.set_end(_live(buyer), cancel=True)


def resume(buyer: User) -> Subscription:
    """Let a plan that was to end go on; raises as ``cancel``."""
    return changing.set_end(_live(buyer), cancel=False)


def portal_url(buyer: User, flow: str = "") -> str:
    """Return where the buyer manages card, invoices and plan at Stripe; raises ``GatewayError``.

    ``flow`` leads straight to one thing: a key of ``PORTAL_FLOWS``, or nothing.
    """
    settings = the(Settings)
    stop_reading()
    with snapshot() as session:
        live = subscriptions.live_of(session, buyer.id)
    wanted = PORTAL_FLOWS.get(flow)
    if live is None and wanted != "payment_method_update":
        wanted = None
    return the(Gateway).create_portal(
        customer_id=live.customer_id if live else customers.ensure(buyer),
        return_url=settings.billing_portal_return_url or f"{settings.site_url}/dashboard",
        flow=wanted,
        subscription_id=live.id if live else None,
    )


def may_try(session: Session, plan: Plan, user_id: str) -> bool:
    """Return whether a person may try a plan before paying: once, and before any other."""
    if not plan.trial_days:
        return False
    had = select(Subscription.id).where(Subscription.user_id == user_id).limit(1)
    return session.scalar(had) is None


def _ordered(order: PlanOrder) -> Plan:
    catalog = the(Catalog)
    plan = catalog.plan(order.plan_id)
    if plan is None:
        raise NotFound("There is no such plan.")
    if order.cycle not in CYCLES:
        raise ValidationFailed.of("cycle", "A plan is paid by the month or by the year.")
    if not plan.seats_min <= order.seats <= plan.seats_max:
        words = f"from {plan.seats_min} to {plan.seats_max}" if plan.seats_max > 1 else "one"
        raise ValidationFailed.of("seats", f"{plan.name} has {words} to choose.")
    if order.catalog_shown and order.catalog_shown != catalog.digest:
        raise checkout.PackChanged(
            "Prices were changed while the page was open. Look at them and press again."
        )
    return plan


def _subscribe(order: PlanOrder, plan: Plan, buyer: User, key: str) -> Purchase:
    _close_other_checkouts(buyer, key)
    price = plan_prices.ensure(plan, order.cycle)
    with transaction() as session:
        purchase = checkout.store_once(
            session,
            buyer,
            key,
            order.digest(),
            lambda: _priced(session, order, plan, price, buyer, key),
        )
    if purchase.checkout_url is None and purchase.checkout_id is None:
        open_checkout(purchase, buyer)
    return purchase


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


def _live(buyer: User) -> Subscription:
    stop_reading()
    with snapshot() as session:
        live = subscriptions.live_of(session, buyer.id)
    if live is None:
        raise PlanUnchanged("You have no plan that could be changed.")
    return live
