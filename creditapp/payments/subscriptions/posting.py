"""What a subscription's rows and the ledger become when Stripe has said how it stands.

One function, called by ``subscriptions.sync`` under the subscription's lock. It posts differences:
what is paid and not yet written down, what went back beyond what was taken. Saying the same twice
posts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp.clock import NEVER, now
from creditapp.payments.stripe.records import LIVE_STATUSES, InvoiceState, Reversals
from creditapp.payments.subscriptions import notifications as plan_notifications
from creditapp.payments.subscriptions import proration, scheduled_grants
from creditapp.payments.subscriptions import reversals as plan_reversals
from creditapp.payments.subscriptions.models import Invoice, PlanPrice, Subscription

if TYPE_CHECKING:
    from creditapp.payments.subscriptions.sync import StripeState

CYCLE_WORDS = {"month": "monthly", "year": "yearly"}

log = structlog.get_logger(__name__)


def post(
    session: Session, subscription: Subscription, told: StripeState, prices: Mapping[str, PlanPrice]
) -> None:
    """Bring rows and ledger to what Stripe says, within the caller's transaction."""
    rows = {
        row.id: row
        for row in session.scalars(
            select(Invoice).where(Invoice.subscription_id == subscription.id)
        )
    }
    changes = plan_notifications.snapshot(subscription, new=not rows)
    reasons: dict[str, str] = {}
    frozen: list[tuple[Invoice, bool]] = []
    for state in told.invoices:
        row = rows.get(state.id)
        if row is None:
            row = rows[state.id] = _new_invoice(subscription, state)
            session.add(row)
        _note(row, state, prices)
        row.payment_intent_id = told.payments.get(state.id, row.payment_intent_id)
        session.flush()
        if state.paid and row.paid_at is None:
            first_micro = _write_months(session, row, state, told, prices)
            if row.paid_at is not None:
                changes.paid.append((row, state, first_micro))
        if row.paid_at is not None and state.id in told.reversals:
            reasons[state.id] = _reverse(row, told.reversals[state.id], changes, frozen)
    session.flush()
    # Only when all is written down: a later invoice takes months over from an earlier one.
    changes.paid_for = plan_reversals.settle(session, subscription.id, reasons)
    for row, now_frozen in frozen:
        plan_reversals.set_frozen(session, row, frozen=now_frozen)
    for row in sorted(rows.values(), key=lambda each: (each.created_at, each.id)):
        if row.paid_at is not None:
            scheduled_grants.grant_due(session, row)
    _note_subscription(subscription, told, contested=any(row.disputed for row in rows.values()))
    session.flush()
    if changes.new:
        _alarm_about_a_second(session, subscription)
    unpaid = next((each for each in told.invoices if each.status == "open"), None)
    plan_notifications.notify(session, subscription, changes, prices, unpaid)


def _alarm_about_a_second(session: Session, row: Subscription) -> None:
    """Say that somebody pays for two plans: both give their credits, and a person must look."""
    others = select(Subscription.id).where(
        Subscription.user_id == row.user_id,
        Subscription.id != row.id,
        Subscription.status.in_(LIVE_STATUSES),
    )
    if other := session.scalar(others.limit(1)):
        log.error("two subscriptions of one person", subscription=row.id, other=other)


def _new_invoice(subscription: Subscription, state: InvoiceState) -> Invoice:
    return Invoice(
        id=state.id,
        subscription_id=subscription.id,
        user_id=subscription.user_id,
        billing_reason=state.billing_reason,
        currency=state.currency,
        refunded_minor=0,
        disputed=False,
        credits_micro=0,
        livemode=state.livemode,
        created_at=state.created,
    )


def _note(row: Invoice, state: InvoiceState, prices: Mapping[str, PlanPrice]) -> None:
    row.number = state.number
    row.status = state.status
    row.subtotal_minor = state.subtotal_minor
    row.total_minor = state.total_minor
    row.tax_minor = state.tax_minor
    row.paid_minor = state.paid_minor
    row.page_url = state.page_url
    bought = [line for line in state.lines if line.amount_minor >= 0] or list(state.lines)
    price = prices.get(bought[-1].price_id) if bought else None
    if price is not None:
        row.title = f"{price.plan_name} plan, {CYCLE_WORDS[price.cycle]}"
        if state.billing_reason == "subscription_update":
            row.title = f"Change to {row.title}"


def _write_months(
    session: Session,
    row: Invoice,
    state: InvoiceState,
    told: StripeState,
    prices: Mapping[str, PlanPrice],
) -> int:
    """Write down what an invoice gives, once; return what its first month gives.

    An unknown price is for a person to look at.
    """
    try:
        plan = proration.plan_of(
            state,
            prices,
            scheduled_grants.bounds(session, row.subscription_id),
            trial_end=told.subscription.trial_end,
        )
    except proration.PriceUnknown as unknown:
        if row.review_reason is None:
            log.error("invoice needs review", invoice=row.id, price=str(unknown))
        row.review_reason = "its price is in no catalog"
        return 0
    row.review_reason = None
    row.paid_at = now()
    row.credits_micro = sum(month.credits_micro for month in plan.months)
    if plan.supersedes_from is not None:
        scheduled_grants.supersede(session, row, plan.supersedes_from)
        if plan.returned_micro:
            plan_reversals.return_time(session, row, plan.supersedes_from, plan.returned_micro)
    scheduled_grants.write(session, row, plan.months)
    return plan.months[0].credits_micro if plan.months else 0


def _reverse(
    row: Invoice,
    found: Reversals,
    changes: plan_notifications.Changes,
    frozen: list[tuple[Invoice, bool]],
) -> str:
    """Note what was refunded or lost in a dispute, and in ``frozen`` what is to be frozen or freed.

    Returns which of the two it was, for the ledger's history.
    """
    refunded = sum(each.amount_minor for each in found.refunds if each.counts)
    lost = sum(each.amount_minor for each in found.disputes if each.status == "lost")
    back_minor = min(refunded + lost, row.paid_minor)
    if back_minor != row.refunded_minor and row.paid_minor:
        lost_now = min(lost, max(0, back_minor - row.refunded_minor)) if row.disputed else 0
        if difference := back_minor - row.refunded_minor - lost_now:
            changes.back.append((row, difference))
        row.refunded_minor = back_minor
    open_now = any(each.open for each in found.disputes)
    if found.disputes and open_now != row.disputed:
        event = "dispute_opened" if open_now else "dispute_closed"
        changes.disputes.append((row, found.disputes[0], event))
    if open_now or row.disputed:
        frozen.append((row, open_now))
    row.disputed = open_now
    return "dispute" if lost else "refund"


def _note_subscription(row: Subscription, told: StripeState, *, contested: bool) -> None:
    state, moment = told.subscription, now()
    in_force = proration.newest_price(told.invoices)
    row.status = state.status
    row.customer_id = state.customer_id
    row.item_id = state.item_id
    row.next_price_id = state.price_id
    row.price_id = in_force.price_id if in_force else state.price_id
    row.quantity = in_force.quantity if in_force else state.quantity
    row.next_quantity = state.quantity
    row.period_start, row.period_end = state.period_start, state.period_end
    row.cancel_at_period_end = state.cancel_at_period_end
    row.trial_end = state.trial_end
    row.ended_at = state.ended_at
    unpaid = [each for each in told.invoices if each.status == "open"]
    if state.status in ("past_due", "unpaid"):
        row.past_due_since = row.past_due_since or (unpaid[0].created if unpaid else moment)
        row.next_try_at = unpaid[-1].next_try_at if unpaid else None
    else:
        row.past_due_since = row.next_try_at = None
    if row.upgrade_price_id == state.price_id:
        row.upgrade_price_id = row.upgrade_at = None
    row.next_sync_at = _next_look(row, moment, contested=contested)


def _next_look(row: Subscription, moment: datetime, *, contested: bool) -> datetime:
    """Return when the sweep asks again, should no event come."""
    if row.ended_at is not None:
        # Months of a plan that has ended may still be frozen.
        return moment + timedelta(days=1) if contested else NEVER
    if row.status == "incomplete":
        return moment + timedelta(minutes=10)
    soon_after_the_end = row.period_end + timedelta(minutes=5)
    latest = moment + timedelta(days=1)
    return max(min(soon_after_the_end, latest), moment + timedelta(minutes=10))
