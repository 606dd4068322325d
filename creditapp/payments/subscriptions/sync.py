"""Sync of a subscription and its invoices with Stripe.

A service: it calls Stripe with no transaction open and commits its own short transactions. As
``checkout.sync_purchase`` for packs, ``sync_subscription`` is the one function behind webhooks, the
return page, the sweep, the buttons and the reconciliation. Events only name what to sync, so
neither their order nor their number matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import accounts, clock
from creditapp.clock import NEVER
from creditapp.db import insert_once, snapshot, stop_reading, transaction
from creditapp.errors import Conflict, NotFound
from creditapp.logs import failures_logged
from creditapp.payments import customers
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import LIVE_STATUSES, SubscriptionState
from creditapp.payments.subscriptions import posting as plan_posting
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.models import Invoice, Subscription
from creditapp.payments.subscriptions.posting import StripeState
from creditapp.payments.sweeps import claim_version, sync_due, until_claimed
from creditapp.services import get

log = structlog.get_logger(__name__)

LOOK_UP_MISSING = timedelta(days=30)
"""How long a subscription that Stripe does not have is looked up again."""

RECENT_INVOICES = 2
"""Of how many of the newest paid invoices each sync reads refunds and disputes."""


class PlanEnded(Conflict):
    """The plan to change is not at Stripe any more."""

    title = "Your plan has ended"


def sync_subscription(subscription_id: str, *, invoice_id: str | None = None) -> Subscription:
    """Bring subscription, invoices and ledger to what Stripe reports now.

    Safe to call at any time and concurrently: a sync that finds the row changed meanwhile reads
    again. ``invoice_id`` is an older invoice whose refunds and disputes are read too. Raises
    ``NotFound`` for a subscription that belongs to no user here, and ``GatewayError``.
    """
    stop_reading()
    return until_claimed(lambda: _sync_once(subscription_id, invoice_id))


def sweep_subscriptions() -> None:
    """Sync every subscription whose next sync is due: a webhook may never arrive."""
    sync_due(Subscription, sync_subscription, retry_after=timedelta(minutes=5))


def fetch_subscription(subscription_id: str) -> SubscriptionState:
    """Return the state at Stripe of a subscription that is to be changed.

    Raises ``PlanEnded`` where Stripe has none; the row has ended then.
    """
    state = _retrieve(subscription_id)
    if state is None:
        sync_subscription(subscription_id)
        raise PlanEnded("Your plan has ended. Nothing was charged; you can choose a plan again.")
    return state


def find_current(session: Session, user_id: str) -> Subscription | None:
    """Return a user's current subscription; the newest, if there are two."""
    subscriptions = list_subscriptions(session, user_id)
    return next((row for row in subscriptions if row.live and row.ended_at is None), None)


def list_subscriptions(session: Session, user_id: str) -> list[Subscription]:
    """Return every subscription that a user ever had, the newest first."""
    return list(
        session.scalars(
            select(Subscription)
            .where(Subscription.user_id == user_id)
            .order_by(Subscription.created_at.desc(), Subscription.id)
        )
    )


def _sync_once(subscription_id: str, invoice_id: str | None) -> Subscription | None:
    """Sync a subscription; return None, and change nothing, if it was changed meanwhile."""
    row, invoices = _load_rows(subscription_id)
    state = _fetch_stripe_state(subscription_id, invoices, invoice_id)
    if state is None:
        return _end_missing(row)
    user_id = row.user_id if row else _find_owner(state.subscription)
    if _renews_for_nobody(state.subscription, user_id):
        get(StripeGateway).cancel_at_period_end(state.subscription)
        return None
    price_ids = {line.price_id for invoice in state.invoices for line in invoice.lines}
    state.prices = plan_prices.find_prices({state.subscription.item.price_id} | price_ids)
    with (
        failures_logged("subscription not posted", subscription=subscription_id),
        transaction() as session,
    ):
        state.owner_deleted = not accounts.is_open(session, user_id)
        subscription = _claim(session, row, state.subscription, user_id)
        if subscription is not None:
            plan_posting.post(session, subscription, state, now=clock.now())
    return subscription


def _load_rows(subscription_id: str) -> tuple[Subscription | None, dict[str, Invoice]]:
    with snapshot() as session:
        row = session.get(Subscription, subscription_id)
        return row, plan_posting.find_invoices(session, subscription_id)


def _fetch_stripe_state(
    subscription_id: str, invoices: Mapping[str, Invoice], invoice_id: str | None
) -> StripeState | None:
    """Read the subscription, its invoices, and refunds and disputes of those that may change.

    Returns None where Stripe has no such subscription.
    """
    gateway = get(StripeGateway)
    subscription = _retrieve(subscription_id)
    if subscription is None:
        return None
    state = StripeState(subscription, gateway.list_invoices(subscription_id))
    paid = [invoice for invoice in state.invoices if invoice.paid and invoice.paid_minor > 0]
    for number, invoice in enumerate(paid, 1):
        row = invoices.get(invoice.id)
        payment_intent_id = row.payment_intent_id if row else None
        if payment_intent_id is None:
            payment_intent_id = gateway.payment_of_invoice(invoice.id)
        if payment_intent_id is None:
            continue
        state.payment_intent_ids[invoice.id] = payment_intent_id
        is_recent = number > len(paid) - RECENT_INVOICES
        if is_recent or row is None or row.disputed or invoice.id == invoice_id:
            state.reversals[invoice.id] = gateway.reversals_of(payment_intent_id)
    return state


def _renews_for_nobody(state: SubscriptionState, user_id: str) -> bool:
    """Return whether a subscription would charge again although its account is deleted."""
    if state.status not in LIVE_STATUSES or state.ended_at or state.cancel_at:
        return False
    with snapshot() as session:
        return accounts.find(session, user_id) is None


def _retrieve(subscription_id: str) -> SubscriptionState | None:
    """Return a subscription, or None; of several items the plan's is the one with a known price."""
    state = get(StripeGateway).retrieve_subscription(subscription_id)
    if state is None or not state.other_items:
        return state
    prices = plan_prices.find_prices(item.price_id for item in state.items)
    return state.with_plan_item(prices)


def _end_missing(row: Subscription | None) -> Subscription | None:
    """End a subscription that Stripe no longer has: deleted, or of another account.

    It is looked up again each day for a month, in case the key was wrong.
    """
    if row is None or row.livemode != get(StripeGateway).livemode:
        raise NotFound("Stripe knows no such subscription.")
    now = clock.now()
    if row.ended_at is None:
        log.error("subscription is missing at Stripe", subscription=row.id, user=row.user_id)
    ended_at = row.ended_at or now
    is_recent = now - ended_at < LOOK_UP_MISSING
    columns: dict[str, object] = {"status": "canceled", "ended_at": ended_at}
    columns["next_sync_at"] = now + timedelta(days=1) if is_recent else NEVER
    with transaction() as session:
        return row if claim_version(session, row, **columns) else None


def _find_owner(state: SubscriptionState) -> str:
    """Return the user of a new subscription: by its customer, or by the purchase it carries."""
    with snapshot() as session:
        user_id = customers.user_of(session, state.customer_id)
        purchase_id = state.metadata.get("purchase_id")
        if user_id is None and purchase_id:
            user_id = session.scalar(
                select(Purchase.user_id).where(
                    Purchase.id == purchase_id, Purchase.cycle.is_not(None)
                )
            )
    if user_id is None:
        raise NotFound("There is no such subscription.")
    return user_id


def _claim(
    session: Session, row: Subscription | None, state: SubscriptionState, user_id: str
) -> Subscription | None:
    """Lock and return the row, or insert it; None if it was changed or inserted meanwhile."""
    if row is None:
        new_row = Subscription(
            id=state.id,
            user_id=user_id,
            livemode=state.livemode,
            version=1,
            created_at=state.created,
            next_sync_at=NEVER,
        )
        plan_posting.copy_state(new_row, state)
        is_new = insert_once(session, new_row, ["id"])
        return session.get_one(Subscription, state.id) if is_new else None
    return session.get_one(Subscription, row.id) if claim_version(session, row) else None
