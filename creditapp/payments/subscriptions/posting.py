"""Posting of a subscription: brings its rows and the ledger to the state that Stripe reports.

``post`` works in the caller's transaction, under the subscription's lock, and commits nothing. It
posts differences: invoices paid and not scheduled yet, money reversed beyond what was reversed
before. Posting the same state twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.clock import NEVER
from creditapp.payments.purchases.posting import ACCOUNT_DELETED
from creditapp.payments.stripe.records import (
    LIVE_STATUSES,
    InvoiceLine,
    InvoiceState,
    Reversals,
    SubscriptionState,
)
from creditapp.payments.subscriptions import notifications as plan_notifications
from creditapp.payments.subscriptions import plan_lines, proration, scheduled_grants
from creditapp.payments.subscriptions import reversals as plan_reversals
from creditapp.payments.subscriptions.models import NO_UPGRADE, Invoice, PlanPrice, Subscription
from creditapp.payments.subscriptions.plan_lines import UnknownPrice

_CYCLE_ADVERBS = {"month": "monthly", "year": "yearly"}

log = structlog.get_logger(__name__)


@dataclass
class StripeState:
    """State of a subscription, its invoices and their payments, as read in one sync."""

    subscription: SubscriptionState
    invoices: tuple[InvoiceState, ...]
    payment_intent_ids: dict[str, str] = field(default_factory=dict)
    """By invoice, of those whose payment was read."""
    reversals: dict[str, Reversals] = field(default_factory=dict)
    """By invoice, of those whose refunds and disputes were read."""
    prices: Mapping[str, PlanPrice] = field(default_factory=dict)
    """By id, of the invoices' lines and of the next invoice."""
    owner_deleted: bool = False
    """Whether the account is: what is paid from then on is kept for review, as a purchase is."""

    @property
    def unpaid_invoices(self) -> list[InvoiceState]:
        """The invoices that Stripe tries to charge."""
        return [invoice for invoice in self.invoices if invoice.status == "open"]


def post(
    session: Session, subscription: Subscription, state: StripeState, *, now: datetime
) -> None:
    """Post what Stripe reports of a subscription and its invoices; queue emails about it."""
    invoices = find_invoices(session, subscription.id)
    changes = plan_notifications.start_changes(subscription, is_new=not invoices)
    disputed: list[Invoice] = []
    for number, invoice_state in enumerate(state.invoices):
        invoice = invoices.get(invoice_state.id)
        if invoice is None:
            invoice = invoices[invoice_state.id] = _new_invoice(subscription, invoice_state)
            session.add(invoice)
        _update_invoice(invoice, invoice_state)
        invoice.payment_intent_id = state.payment_intent_ids.get(
            invoice.id, invoice.payment_intent_id
        )
        session.flush()
        if invoice_state.paid and invoice.paid_at is None and state.owner_deleted:
            _keep_for_review(invoice, ACCOUNT_DELETED)
        elif invoice_state.paid and invoice.paid_at is None:
            line = plan_lines.current_line(state.invoices[: number + 1], state.prices)
            invoice.title = _title(invoice, line, state.prices)
            history = history_of(session, state.subscription, state.invoices[:number], state.prices)
            first_micro = _schedule_credits(
                session, invoice, invoice_state, state.prices, history, subscription, now=now
            )
            if invoice.paid_at is not None:
                changes.paid.append((invoice, line, first_micro))
        if invoice.paid_at is not None and invoice.id in state.reversals:
            was_disputed = invoice.disputed
            _record_reversals(invoice, state.reversals[invoice.id], changes)
            if was_disputed or invoice.disputed:
                disputed.append(invoice)
    session.flush()
    # Only after all invoices are scheduled: a later invoice supersedes months of an earlier one.
    reasons = {invoice_id: reversals.reason for invoice_id, reversals in state.reversals.items()}
    paid = {invoice.id: invoice for invoice in invoices.values() if invoice.paid_at is not None}
    changes.own_micro = plan_reversals.apply_reversals(
        session, subscription, paid, reasons, now=now
    )
    for invoice in disputed:
        plan_reversals.set_frozen(session, invoice, frozen=invoice.disputed, now=now)
    for invoice in sorted(paid.values(), key=lambda invoice: (invoice.created_at, invoice.id)):
        scheduled_grants.grant_due(session, invoice, now=now)
    is_disputed = any(invoice.disputed for invoice in invoices.values())
    _update_subscription(subscription, state, is_disputed=is_disputed, now=now)
    session.flush()
    if changes.is_new:
        _alert_on_second_subscription(session, subscription)
    plan_notifications.queue_emails(
        session, subscription, changes, state.prices, state.unpaid_invoices, now=now
    )


def find_invoices(session: Session, subscription_id: str) -> dict[str, Invoice]:
    """Return the invoices of a subscription, by id."""
    query = select(Invoice).where(Invoice.subscription_id == subscription_id)
    return {invoice.id: invoice for invoice in session.scalars(query)}


def _alert_on_second_subscription(session: Session, subscription: Subscription) -> None:
    """Log an error if a user pays for two plans: both grant credits, an operator must decide."""
    others = select(Subscription.id).where(
        Subscription.user_id == subscription.user_id,
        Subscription.id != subscription.id,
        Subscription.status.in_(LIVE_STATUSES),
    )
    if other_id := session.scalar(others.limit(1)):
        log.error("user has two subscriptions", subscription=subscription.id, other=other_id)


def _new_invoice(subscription: Subscription, state: InvoiceState) -> Invoice:
    return Invoice(
        id=state.id,
        subscription_id=subscription.id,
        user_id=subscription.user_id,
        billing_reason=state.billing_reason,
        currency=state.currency,
        livemode=state.livemode,
        created_at=state.created,
    )


def _update_invoice(invoice: Invoice, state: InvoiceState) -> None:
    invoice.number = state.number
    invoice.status = state.status
    invoice.subtotal_minor = state.subtotal_minor
    invoice.total_minor = state.total_minor
    invoice.tax_minor = state.tax_minor
    invoice.paid_minor = state.paid_minor


def history_of(
    session: Session,
    subscription: SubscriptionState,
    earlier_invoices: Sequence[InvoiceState],
    prices: Mapping[str, PlanPrice],
) -> proration.History:
    """Return what precedes an invoice of a subscription."""
    item = subscription.item
    return proration.History(
        earlier_invoices,
        scheduled_grants.scheduled_months(session, subscription.id),
        anchor=subscription.anchor,
        trial_end=subscription.trial_end,
        plan_item_id=item.id if item.price_id in prices else None,
    )


def _schedule_credits(
    session: Session,
    invoice: Invoice,
    state: InvoiceState,
    prices: Mapping[str, PlanPrice],
    history: proration.History,
    subscription: Subscription,
    *,
    now: datetime,
) -> int:
    """Schedule the credits of a paid invoice, once; return those of its first month.

    An invoice that charges the plan at an unknown price grants nothing and is marked for review by
    an operator. Unknown prices beside a known one are of other items: they grant nothing.
    """
    try:
        schedule = proration.credit_schedule(state, prices, history)
    except UnknownPrice as unknown:
        _keep_for_review(invoice, "its price is in no catalog", price=str(unknown))
        return 0
    schedule = _with_quote(schedule, state, subscription)
    if others := plan_lines.unknown_prices(state, prices):
        log.warning("invoice has other items", invoice=invoice.id, prices=sorted(others))
    invoice.review_reason = None
    invoice.paid_at = now
    invoice.credits_micro = sum(month.credits_micro for month in schedule.months)
    if schedule.supersedes_from is not None:
        scheduled_grants.supersede(session, invoice, schedule.supersedes_from)
        if schedule.prorated_micro:
            plan_reversals.reverse_unused_time(
                session, invoice, schedule.supersedes_from, schedule.prorated_micro
            )
    scheduled_grants.schedule(session, invoice, schedule.months, now=now)
    return schedule.first_micro


def _keep_for_review(invoice: Invoice, reason: str, **fields: str) -> None:
    if invoice.review_reason is None:
        log.error("invoice needs review", invoice=invoice.id, reason=reason, **fields)
    invoice.review_reason = reason


def _with_quote(
    schedule: proration.CreditSchedule, state: InvoiceState, subscription: Subscription
) -> proration.CreditSchedule:
    """Return the schedule with the credits that the confirmed page of this upgrade showed."""
    quoted_micro = subscription.upgrade_credits_micro
    is_quoted = (
        state.billing_reason == "subscription_update"
        and schedule.supersedes_from == subscription.upgrade_proration_at
    )
    if quoted_micro is None or not is_quoted or quoted_micro == schedule.first_micro:
        return schedule
    log.error("upgrade was quoted otherwise", invoice=state.id, quoted_micro=quoted_micro)
    if not schedule.first_micro:
        return schedule
    first, *later = schedule.months
    months = (replace(first, credits_micro=quoted_micro), *later)
    return replace(schedule, months=months, first_micro=quoted_micro)


def _title(invoice: Invoice, line: InvoiceLine | None, prices: Mapping[str, PlanPrice]) -> str:
    """Return plan and cycle of the line that an invoice pays for, for receipts and emails."""
    price = prices.get(line.price_id) if line else None
    if price is None:
        return ""
    title = f"{price.plan_name} plan, {_CYCLE_ADVERBS[price.cycle]}"
    return f"Change to {title}" if invoice.billing_reason == "subscription_update" else title


def _record_reversals(
    invoice: Invoice, reversals: Reversals, changes: plan_notifications.Changes
) -> None:
    """Record refunds and disputes of an invoice."""
    reversed_minor = reversals.reversed_minor(invoice.paid_minor)
    difference_minor = reversed_minor - invoice.refunded_minor
    if difference_minor and invoice.paid_minor:
        lost_now_minor = 0
        if invoice.disputed:
            lost_now_minor = min(reversals.lost_minor, max(0, difference_minor))
        if difference_minor - lost_now_minor:
            changes.refunded.append((invoice, difference_minor - lost_now_minor))
        invoice.refunded_minor = reversed_minor
    if reversals.disputes and reversals.disputed != invoice.disputed:
        changes.disputes.append((invoice, reversals))
    invoice.disputed = reversals.disputed


def _update_subscription(
    subscription: Subscription, stripe_state: StripeState, *, is_disputed: bool, now: datetime
) -> None:
    state = stripe_state.subscription
    copy_state(subscription, state)
    current_line = plan_lines.current_line(stripe_state.invoices, stripe_state.prices)
    if current_line is not None:
        subscription.price_id, subscription.quantity = current_line.price_id, current_line.quantity
    unpaid = stripe_state.unpaid_invoices
    if state.status in ("past_due", "unpaid"):
        if subscription.past_due_since is None:
            subscription.past_due_since = unpaid[0].created if unpaid else now
        subscription.next_try_at = unpaid[-1].next_try_at if unpaid else None
    else:
        subscription.past_due_since = subscription.next_try_at = None
    if subscription.upgrade_price_id == state.item.price_id:
        for column, value in NO_UPGRADE.items():
            setattr(subscription, column, value)
    subscription.next_sync_at = _next_sync_at(subscription, is_disputed=is_disputed, now=now)


def copy_state(subscription: Subscription, state: SubscriptionState) -> None:
    """Copy Stripe's state, as if the next invoice's price and quantity were paid for now."""
    subscription.status = state.status
    subscription.customer_id = state.customer_id
    subscription.price_id = subscription.next_price_id = state.item.price_id
    subscription.quantity = subscription.next_quantity = state.item.quantity
    subscription.period_start = state.item.period_start
    subscription.period_end = state.item.period_end
    subscription.cancel_at = state.cancel_at
    subscription.trial_end = state.trial_end
    subscription.ended_at = state.ended_at


def _next_sync_at(subscription: Subscription, *, is_disputed: bool, now: datetime) -> datetime:
    """Return when the sweep syncs the subscription if no event arrives."""
    if subscription.ended_at is not None:
        # Credits of a plan that has ended may still be frozen.
        return now + timedelta(days=1) if is_disputed else NEVER
    if subscription.status == "incomplete":
        return now + timedelta(minutes=10)
    change_at = min(subscription.period_end, subscription.cancel_at or NEVER)
    after_renewal = change_at + timedelta(minutes=5)
    latest = now + timedelta(days=1)
    return max(min(after_renewal, latest), now + timedelta(minutes=10))
