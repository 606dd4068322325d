"""Posting of a purchase: bring its row and the ledger to the state that Stripe reports.

``checkout.sync_purchase`` calls ``post`` under the purchase's lock. It posts differences: the
grants, revocations and freezes that should exist, less those that do; repeating it posts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from creditapp import accounts, ledger
from creditapp.clock import NEVER
from creditapp.db import update_if
from creditapp.payments.purchases import receipts, webhook_events
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.purchases.notifications import PaymentEmails
from creditapp.payments.stripe.records import CheckoutState, Reversals

PENDING_DAYS = 30
"""How long the sweep asks about a delayed payment; the slowest bank debits take half of it."""

ACCOUNT_DELETED = "its account is deleted"
"""Reason for the review of a payment that nobody can be granted."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Snapshot:
    """State of a purchase before a posting."""

    granted: bool
    refunded_minor: int
    frozen: bool


def post(
    session: Session,
    purchase: Purchase,
    state: CheckoutState,
    *,
    failed_by_event: bool,
    is_deleted: bool,
    now: datetime,
) -> None:
    """Bring the row and the ledger to Stripe's state, within the caller's transaction.

    ``is_deleted`` says that the buyer's account is: a payment that is not granted yet is then kept
    for review, because nobody could spend its credits. The reconciliation names it until an
    operator has refunded it.
    """
    kind = kind_of(purchase)
    columns: dict[str, object] = {"payment_intent_id": state.payment_intent_id}
    if kind.create_checkout is not None:
        columns["checkout_id"] = state.id
    before = _Snapshot(
        purchase.grant_id is not None, purchase.refunded_minor, _is_frozen(session, purchase)
    )
    mismatch = _mismatch(purchase, state)
    if is_deleted and purchase.kind != "plan":  # a plan's invoices are granted, or kept for review
        mismatch = mismatch or ACCOUNT_DELETED
    if purchase.grant_id is None and state.paid and mismatch:
        if state.reversals.reversed_minor(state.amount_total or 0) != state.amount_total:
            log.error("payment needs review", purchase=purchase.id, reason=mismatch)
        columns |= {"state": "review", "review_reason": mismatch, "next_sync_at": NEVER}
    elif state.paid:
        columns |= kind.post_paid(session, purchase, state, now)
    elif purchase.grant_id is not None:
        # Stripe takes a payment back only by refund or dispute; an operator must look at this.
        log.error("a granted purchase is no longer paid", purchase=purchase.id)
        columns = {"next_sync_at": NEVER}
    elif state.failure is not None:
        columns |= {"state": "failed", "next_sync_at": NEVER}
    elif state.status == "expired":
        columns |= {"state": "expired", "next_sync_at": NEVER}
    elif state.status == "complete":
        columns |= _delayed_payment(purchase, failed_by_event=failed_by_event, now=now)
    else:
        columns |= {"checkout_url": state.url, "next_sync_at": next_sync_at(purchase, now=now)}
    update_if(session, purchase, **columns)
    if state.paid:
        _notify(session, purchase, state.reversals, before, now=now)
    kind.on_posted(session, purchase, state.failure, now)


def post_credits(
    session: Session, purchase: Purchase, state: CheckoutState, now: datetime
) -> dict[str, object]:
    """Grant a paid purchase once and reverse what was refunded; return the columns to set."""
    return {
        **_grant_once(session, purchase, now=now),
        **_reverse(session, purchase, state, now=now),
        "total_minor": state.amount_total,
        "discount_minor": state.discount_minor,
        "tax_minor": state.tax_minor,
    }


def next_sync_at(purchase: Purchase, *, now: datetime) -> datetime:
    """Return when the sweep asks again about a checkout that is not paid yet.

    A webhook may never arrive and the buyer may have closed the window, so the longest pause is
    also the longest time that a buyer who has paid can be without the credits.
    """
    if purchase.checkout_id is None:
        return now + timedelta(minutes=10)  # the buyer never got its address and cannot pay it
    is_new = now - purchase.created_at < timedelta(hours=1)
    return now + timedelta(minutes=1 if is_new else 2)


def _delayed_payment(
    purchase: Purchase, *, failed_by_event: bool, now: datetime
) -> dict[str, object]:
    """Return the columns of a payment that arrives later or not at all; a later sync may differ."""
    age = now - purchase.created_at
    if failed_by_event or purchase.state == "failed" or age > timedelta(days=PENDING_DAYS):
        return {"state": "failed", "next_sync_at": NEVER}
    pause = timedelta(minutes=2) if age < timedelta(hours=1) else timedelta(minutes=30)
    return {"state": "pending", "next_sync_at": now + pause}


def _mismatch(purchase: Purchase, state: CheckoutState) -> str | None:
    """Return how the payment differs from the purchase as it was priced, or None."""
    if state.metadata.get("purchase_id") != purchase.id:
        return "the checkout belongs to another purchase"
    if state.livemode != purchase.livemode:
        return "live and test mode differ"
    if (state.currency or "").lower() != purchase.currency.lower():
        return f"paid in {state.currency}"
    expected_minor = 0 if purchase.trial_days else purchase.price_minor * purchase.seats
    if state.amount_subtotal != expected_minor:
        return f"the subtotal is {state.amount_subtotal}"
    return None


def _grant_once(session: Session, purchase: Purchase, *, now: datetime) -> dict[str, object]:
    if purchase.grant_id is not None:
        return {"state": "paid", "next_sync_at": NEVER}
    connection = session.connection()
    grant = ledger.grant(
        connection,
        ledger.ensure_wallet(connection, "user", purchase.user_id, now=now),
        ledger.NewGrant(
            amount_micro=purchase.credits_micro,
            source="purchase",
            origin=f"purchase:{purchase.id}",
            paid_minor=purchase.price_minor,
            currency=purchase.currency,
            livemode=purchase.livemode,
            actor=purchase.user_id,
            note=f"{purchase.pack_name} pack",
        ),
        now=now,
    )
    if grant is None:
        # The origin is unique over all wallets; a grant missing from the purchase's row is a bug.
        raise RuntimeError(f"{purchase.id} has a grant that its row does not name")
    purchase.grant_id = grant.id
    return {"state": "paid", "grant_id": grant.id, "paid_at": now, "next_sync_at": NEVER}


def _reverse(
    session: Session, purchase: Purchase, state: CheckoutState, *, now: datetime
) -> dict[str, object]:
    """Revoke in proportion to refunds and lost disputes; freeze while a dispute is open."""
    grant_id, total_minor, reversals = purchase.grant_id, state.amount_total or 0, state.reversals
    assert grant_id is not None  # granted just before
    reversed_minor = reversals.reversed_minor(total_minor)
    connection = session.connection()
    columns: dict[str, object] = {"refunded_minor": reversed_minor}
    if reversed_minor != purchase.refunded_minor and total_minor:
        revoked_micro = purchase.credits_micro * reversed_minor // total_minor
        ledger.revoke(connection, grant_id, revoked_micro, now=now, reason=reversals.reason)
    if reversals.disputed:
        ledger.freeze(connection, grant_id, now=now)
        # A dispute takes weeks, and the event that ends it may be the one that never arrives.
        columns["next_sync_at"] = now + timedelta(days=1)
    elif reversals.disputes:
        ledger.unfreeze(connection, grant_id, now=now)
    return columns


def _is_frozen(session: Session, purchase: Purchase) -> bool:
    if purchase.grant_id is None:
        return False
    return ledger.grant_by_id(session.connection(), purchase.grant_id).frozen_at is not None


def _notify(
    session: Session, purchase: Purchase, reversals: Reversals, before: _Snapshot, *, now: datetime
) -> None:
    """Queue the emails about the posting's changes."""
    user = accounts.find(session, purchase.user_id)
    if user is None or purchase.grant_id is None:
        return
    receipt = receipts.of_purchase(purchase)
    emails = PaymentEmails(session, user, receipt, purchase.credits_micro, purchase.version, now)
    if not before.granted:
        kind_of(purchase).notify_paid(emails, purchase)
        webhook_events.queue_paid(session, purchase, now=now)
    refunded_minor = purchase.refunded_minor - before.refunded_minor
    if refunded_minor:
        webhook_events.queue_refunded(session, purchase, now=now)
    newest = reversals.disputes[0] if reversals.disputes else None
    if newest is not None:
        lost_minor = 0
        if newest.status == "lost":
            lost_minor = min(newest.amount_minor, max(0, refunded_minor))
        if before.frozen != reversals.disputed or (lost_minor and not reversals.disputed):
            grant = ledger.grant_by_id(session.connection(), purchase.grant_id)
            is_lost = newest.status == "lost" and not reversals.disputed
            credits_micro = emails.credits_of(lost_minor) if is_lost else grant.remaining_micro
            emails.dispute(newest, credits_micro, opened=reversals.disputed)
        refunded_minor -= lost_minor
    if refunded_minor:
        emails.refund(refunded_minor)
