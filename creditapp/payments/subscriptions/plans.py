"""Plans as people meet them: subscribe, upgrade now, downgrade or leave at the period's end.

Nothing here writes credits: each verb tells Stripe what is wanted and syncs what comes of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.catalog.products import Plan
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading
from creditapp.errors import NotFound, ValidationFailed
from creditapp.payments import customers, idempotency
from creditapp.payments.purchases import checkout
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.subscriptions import changes as plan_changes
from creditapp.payments.subscriptions import checkout as plan_checkout
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.payments.subscriptions.changes import PlanChange, PlanOrder, PlanUnchanged
from creditapp.payments.subscriptions.models import CYCLES, Subscription
from creditapp.services import get

ROUTE = "choose-plan"
"""Under which the keys of changes are stored; of callers' routes each key says its own."""

PORTAL_FLOWS = {
    "card": "payment_method_update",
    "cancel": "subscription_cancel",
    "plan": "subscription_update",
}


@dataclass(frozen=True)
class Answer(PlanChange):
    """What came of choosing a plan, and whether it had come of the same request before."""

    replayed: bool = False


class Subscribed(PlanUnchanged):
    """Who has a plan cannot subscribe to another; what they have can be changed."""


def choose(order: PlanOrder, buyer: User, *, key: str) -> Answer:
    """Subscribe, or change the plan that the buyer is on; safe to repeat with the same ``key``.

    The key is looked up before anything else: what it bought or changed before is the answer, also
    where the buyer is on another plan since. What is stored of a change is its outcome; no prices.
    Of two at once with one key, one changes the plan and both have its outcome.

    Raises ``NotFound`` for an unknown plan, ``ValidationFailed``, ``PackChanged``,
    ``PlanUnchanged``, ``PaymentDeclined``, ``IdempotencyKeyReused``, ``IdempotencyInProgress`` and
    ``GatewayError``; after a refusal the key is as new. No transaction is open while Stripe is
    asked.
    """
    stop_reading()
    earlier = plan_checkout.earlier(order, buyer, key=key)
    if earlier is not None:
        return Answer("checkout", purchase=earlier, replayed=True)
    request = idempotency.Request(f"user:{buyer.id}", ROUTE, key, order.digest())
    told = idempotency.stored_response(request)
    if told is not None:
        return _told(told, replayed=True)
    plan = _ordered(order)
    if _live(buyer) is None:
        purchase = _begun(order, plan, buyer, key)
        return Answer("checkout", purchase=purchase, replayed=purchase.replayed)
    told, replayed = idempotency.run_once(request, lambda: _changed(order, plan, buyer))
    return _told(told, replayed=replayed)


def subscribe(order: PlanOrder, buyer: User, *, key: str) -> Purchase:
    """Open the checkout of a plan, and never change one that the buyer is on.

    Raises ``Subscribed`` for somebody who has a plan, unless this key began it; else as ``choose``.
    """
    stop_reading()
    earlier = plan_checkout.earlier(order, buyer, key=key)
    if earlier is not None:
        return earlier
    plan = _ordered(order)
    if _live(buyer) is not None:
        raise Subscribed("You have a plan already. Change it instead.")
    return _begun(order, plan, buyer, key)


def preview(order: PlanOrder, buyer: User) -> plan_changes.Preview | None:
    """Return what an upgrade would charge and give now; None where the choice is no upgrade.

    Raises as ``choose``; nothing is changed.
    """
    plan = _ordered(order)
    stop_reading()
    live = _live(buyer)
    return None if live is None else plan_changes.preview(live, plan, order)


def cancel(buyer: User) -> Subscription:
    """Let the buyer's plan end with the time that is paid; doing it twice does it once.

    Raises ``PlanUnchanged`` without a plan, and ``GatewayError``.
    """
    return plan_changes.set_end(_own(buyer), cancel=True)


def resume(buyer: User) -> Subscription:
    """Let a plan that was to end go on; raises as ``cancel``."""
    return plan_changes.set_end(_own(buyer), cancel=False)


def portal_url(buyer: User, flow: str = "") -> str:
    """Return where the buyer manages card, invoices and plan at Stripe; raises ``GatewayError``.

    ``flow`` leads straight to one thing: a key of ``PORTAL_FLOWS``, or nothing.
    """
    settings = get(Settings)
    stop_reading()
    live = _live(buyer)
    wanted = PORTAL_FLOWS.get(flow)
    if live is None and wanted != "payment_method_update":
        wanted = None
    return get(StripeGateway).create_portal(
        customer_id=live.customer_id if live else customers.ensure(buyer),
        return_url=settings.billing_portal_return_url or f"{settings.site_url}/dashboard",
        flow=wanted,
        subscription_id=live.id if live else None,
    )


def _ordered(order: PlanOrder) -> Plan:
    catalog = get(Catalog)
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


def _begun(order: PlanOrder, plan: Plan, buyer: User, key: str) -> Purchase:
    if plan.free:
        raise PlanUnchanged("You are on the Free plan already.")
    return plan_checkout.start(order, plan, buyer, key=key)


def _changed(order: PlanOrder, plan: Plan, buyer: User) -> str:
    """Change the plan that is live now, and return what is to be told of it, as JSON."""
    chosen = plan_changes.change(_own(buyer), plan, order)
    row = chosen.subscription
    return json.dumps({"outcome": chosen.outcome, "subscription": row.id if row else ""})


def _told(told: str, *, replayed: bool) -> Answer:
    stored = json.loads(told)
    with snapshot() as session:
        row = session.get(Subscription, stored["subscription"])
    return Answer(stored["outcome"], subscription=row, replayed=replayed)


def _own(buyer: User) -> Subscription:
    stop_reading()
    live = _live(buyer)
    if live is None:
        raise PlanUnchanged("You have no plan that could be changed.")
    return live


def _live(buyer: User) -> Subscription | None:
    with snapshot() as session:
        return subscription_sync.live_of(session, buyer.id)
