"""Plans as people meet them: subscribe, upgrade now, downgrade or leave at the period's end.

Nothing here writes credits: each verb tells Stripe what is wanted and syncs what comes of it.
"""

from __future__ import annotations

from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.catalog.sales import Plan
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading
from creditapp.errors import NotFound, ValidationFailed
from creditapp.payments import changing, checkout, customers, plan_checkouts, subscriptions
from creditapp.payments.changing import Chosen, PlanOrder, PlanUnchanged
from creditapp.payments.gateway import Gateway
from creditapp.payments.plan_models import CYCLES, Subscription
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
    return Chosen("checkout", purchase=plan_checkouts.start(order, plan, buyer, key=key))


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


def _live(buyer: User) -> Subscription:
    stop_reading()
    with snapshot() as session:
        live = subscriptions.live_of(session, buyer.id)
    if live is None:
        raise PlanUnchanged("You have no plan that could be changed.")
    return live
