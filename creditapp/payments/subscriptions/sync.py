"""A subscription and its invoices, synced: what Stripe says now becomes what stands here.

As ``checkout.sync`` for packs, ``sync`` is the one function behind webhooks, the return page, the
sweep, the buttons and the comparison with Stripe. Events only name what to look at, so neither
their order nor their number matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from creditapp.clock import NEVER, now
from creditapp.db import changed, insert_once, snapshot, stop_reading, transaction
from creditapp.errors import Conflict, NotFound
from creditapp.payments import customers
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import (
    GatewayError,
    InvoiceState,
    Reversals,
    SubscriptionState,
)
from creditapp.payments.subscriptions import posting as plan_posting
from creditapp.payments.subscriptions import prices as plan_prices
from creditapp.payments.subscriptions.models import Invoice, Subscription
from creditapp.services import get

RACES_MAX = 8
SWEEP_MAX = 50
NEWEST_ASKED = 2
"""Of how many of the newest paid invoices each sync reads refunds and disputes."""

log = structlog.get_logger(__name__)


@dataclass
class StripeState:
    """Everything that Stripe said about a subscription in one sync."""

    subscription: SubscriptionState
    invoices: tuple[InvoiceState, ...]
    payments: dict[str, str] = field(default_factory=dict)
    """The payment intent of each invoice that was asked about."""
    reversals: dict[str, Reversals] = field(default_factory=dict)
    """What went back of each invoice that was asked about."""


@dataclass(frozen=True)
class _Known:
    row: Subscription | None
    user_id: str | None
    invoices: dict[str, Invoice]


def sync(subscription_id: str, *, invoice_id: str | None = None) -> Subscription:
    """Make plan and ledger agree with what Stripe says about a subscription now.

    Safe to call at any time and at once. ``invoice_id`` is an older invoice whose refunds and
    disputes are to be read too. Raises ``NotFound`` for a subscription that is nobody's here, and
    ``GatewayError``. Of two at once, the one that finds the row changed under it reads again.
    """
    stop_reading()
    for _ in range(RACES_MAX):
        known = _known(subscription_id)
        told = _ask_stripe(subscription_id, known, invoice_id)
        user_id = known.user_id or _owner(told.subscription)
        prices = plan_prices.known(
            {told.subscription.price_id}
            | {line.price_id for invoice in told.invoices for line in invoice.lines}
        )
        with transaction() as session:
            row = _claim(session, known.row, told, user_id)
            if row is None:
                continue
            plan_posting.post(session, row, told, prices)
            return row
    raise Conflict("This subscription is being worked on. Try again in a moment.")


def sweep() -> None:
    """Sync every subscription that was not heard of for long: a webhook may never come."""
    with snapshot() as session:
        due = session.execute(
            select(Subscription.id, Subscription.next_sync_at)
            .where(Subscription.next_sync_at <= now())
            .order_by(Subscription.next_sync_at)
            .limit(SWEEP_MAX)
        ).all()
    for subscription_id, due_at in due:
        with transaction() as session:
            claimed = session.execute(
                update(Subscription)
                .where(Subscription.id == subscription_id, Subscription.next_sync_at == due_at)
                .values(next_sync_at=now() + timedelta(minutes=5))
                .execution_options(synchronize_session=False)
            )
        if changed(claimed) == 0:
            continue
        try:
            sync(subscription_id)
        except Exception as error:
            # One that cannot be asked about must not keep the others waiting.
            log.warning(
                "sync failed", subscription=subscription_id, error_type=type(error).__name__
            )


def live_of(session: Session, user_id: str) -> Subscription | None:
    """Return the subscription that is a user's plan now, the newest where there are two."""
    rows = session.scalars(
        select(Subscription)
        .where(Subscription.user_id == user_id, Subscription.ended_at.is_(None))
        .order_by(Subscription.created_at.desc(), Subscription.id)
    )
    return next((row for row in rows if row.live), None)


def all_of(session: Session, user_id: str) -> list[Subscription]:
    """Return every subscription that a user ever had, the newest first."""
    return list(
        session.scalars(
            select(Subscription)
            .where(Subscription.user_id == user_id)
            .order_by(Subscription.created_at.desc(), Subscription.id)
        )
    )


def _known(subscription_id: str) -> _Known:
    with snapshot() as session:
        row = session.get(Subscription, subscription_id)
        invoices = {
            invoice.id: invoice
            for invoice in session.scalars(
                select(Invoice).where(Invoice.subscription_id == subscription_id)
            )
        }
    return _Known(row, row.user_id if row else None, invoices)


def _ask_stripe(subscription_id: str, known: _Known, invoice_id: str | None) -> StripeState:
    gateway = get(StripeGateway)
    try:
        state = gateway.retrieve_subscription(subscription_id)
    except GatewayError as error:
        if error.code != "resource_missing":
            raise
        raise NotFound("Stripe knows no such subscription.") from None
    told = StripeState(state, gateway.list_invoices(subscription_id))
    paid = [each for each in told.invoices if each.paid and each.paid_minor > 0]
    newest = {each.id for each in paid[-NEWEST_ASKED:]}
    for invoice in paid:
        row = known.invoices.get(invoice.id)
        payment = row.payment_intent_id if row else None
        if payment is None:
            payment = gateway.payment_of_invoice(invoice.id)
        if payment is None:
            continue
        told.payments[invoice.id] = payment
        unsettled = row is None or row.disputed or invoice.id == invoice_id
        if unsettled or invoice.id in newest:
            told.reversals[invoice.id] = gateway.reversals_of(payment)
    return told


def _owner(told: SubscriptionState) -> str:
    """Return who began it: by the purchase that it carries, or by the customer who pays."""
    with snapshot() as session:
        found = customers.user_of(session, told.customer_id)
        purchase_id = told.metadata.get("purchase_id")
        if found is None and purchase_id:
            found = session.scalar(
                select(Purchase.user_id).where(
                    Purchase.id == purchase_id, Purchase.cycle.is_not(None)
                )
            )
    if found is None:
        raise NotFound("There is no such subscription.")
    return found


def _claim(
    session: Session, row: Subscription | None, told: StripeState, user_id: str
) -> Subscription | None:
    """Lock the row unless it changed since it was read; write it where there was none."""
    state = told.subscription
    if row is None:
        made = Subscription(
            id=state.id,
            user_id=user_id,
            customer_id=state.customer_id,
            item_id=state.item_id,
            price_id=state.price_id,
            next_price_id=state.price_id,
            quantity=state.quantity,
            next_quantity=state.quantity,
            status=state.status,
            period_start=state.period_start,
            period_end=state.period_end,
            cancel_at_period_end=state.cancel_at_period_end,
            livemode=state.livemode,
            version=1,
            created_at=state.created,
            next_sync_at=NEVER,
        )
        if not insert_once(session, made, ["id"]):
            return None
        return session.get_one(Subscription, state.id)
    claimed = session.execute(
        update(Subscription)
        .where(Subscription.id == row.id, Subscription.version == row.version)
        .values(version=row.version + 1)
        .execution_options(synchronize_session=False)
    )
    if changed(claimed) == 0:
        return None
    return session.get_one(Subscription, row.id)
