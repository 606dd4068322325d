"""Posting of a purchase: bring its row and the ledger to the state that Stripe reports.

``checkout.sync_purchase`` calls ``post`` under the purchase's lock. It posts differences: the
grants, revocations and freezes that should exist, less those that do; repeating it posts nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.clock import NEVER, now
from creditapp.db import update_if
from creditapp.payments.purchases import notifications
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import CheckoutState

PENDING_DAYS = 30
"""How long the sweep asks about a delayed payment; the slowest bank debits take half of it."""

log = structlog.get_logger(__name__)


def post(
    session: Session, purchase: Purchase, state: CheckoutState, *, failed_by_event: bool
) -> None:
    """Bring the row and the ledger to Stripe's state, within the caller's transaction."""
    kind = kind_of(purchase)
    columns: dict[str, object] = {"payment_intent_id": state.payment_intent_id}
    if kind.create_checkout is not None:
        columns["checkout_id"] = state.id
    before = notifications.snapshot(session, purchase)
    mismatch = _mismatch(purchase, state)
    if purchase.grant_id is None and state.paid and mismatch:
        log.error("payment needs review", purchase=purchase.id, reason=mismatch)
        columns |= {"state": "review", "review_reason": mismatch, "next_sync_at": NEVER}
    elif state.paid:
        columns |= kind.post_paid(session, purchase, state)
    elif purchase.grant_id is not None:
        # Stripe takes a payment back only by refund or dispute; an operator must look at this.
        log.error("a granted purchase is no longer paid", purchase=purchase.id)
        columns = {"next_sync_at": NEVER}
    elif state.failure is not None:
        columns |= {"state": "failed", "next_sync_at": NEVER}
    elif state.status == "expired":
        columns |= {"state": "expired", "next_sync_at": NEVER}
    elif state.status == "complete":
        columns |= _delayed_payment(purchase, failed_by_event=failed_by_event)
    else:
        columns |= {"checkout_url": state.url, "next_sync_at": next_sync_at(purchase)}
    update_if(session, purchase, **columns)
    if state.paid:
        notifications.notify(session, purchase, state, before)
    kind.on_posted(session, purchase, state.failure)


def post_credits(session: Session, purchase: Purchase, state: CheckoutState) -> dict[str, object]:
    """Grant a paid purchase once and reverse what was refunded; return the columns to set."""
    return {
        **_grant_once(session, purchase),
        **_reverse(session, purchase, state),
        "total_minor": state.amount_total,
        "discount_minor": state.discount_minor,
        "tax_minor": state.tax_minor,
    }


def next_sync_at(purchase: Purchase) -> datetime:
    """Return when the sweep asks again about a checkout that is not paid yet.

    A webhook may never arrive and the buyer may have closed the window, so the longest pause is
    also the longest time that a buyer who has paid can be without the credits.
    """
    age = now() - purchase.created_at
    if purchase.checkout_id is None:
        return now() + timedelta(minutes=10)  # the buyer never got its address and cannot pay it
    return now() + (timedelta(minutes=1) if age < timedelta(hours=1) else timedelta(minutes=2))


def _delayed_payment(purchase: Purchase, *, failed_by_event: bool) -> dict[str, object]:
    """Return the columns of a payment that arrives later or not at all; a later sync may differ."""
    age = now() - purchase.created_at
    if failed_by_event or purchase.state == "failed" or age > timedelta(days=PENDING_DAYS):
        return {"state": "failed", "next_sync_at": NEVER}
    pause = timedelta(minutes=2) if age < timedelta(hours=1) else timedelta(minutes=30)
    return {"state": "pending", "next_sync_at": now() + pause}


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


def _grant_once(session: Session, purchase: Purchase) -> dict[str, object]:
    if purchase.grant_id is not None:
        return {"state": "paid", "next_sync_at": NEVER}
    connection, moment = session.connection(), now()
    wallet_id = ledger.ensure_wallet(connection, "user", purchase.user_id, now=moment)
    grant = ledger.grant(
        connection,
        wallet_id,
        purchase.credits_micro,
        source="purchase",
        origin=f"purchase:{purchase.id}",
        now=moment,
        paid_minor=purchase.price_minor,
        currency=purchase.currency,
        livemode=purchase.livemode,
        actor=purchase.user_id,
        note=f"{purchase.pack_name} pack",
    )
    if grant is None:
        # The origin is unique over all wallets; a grant missing from the purchase's row is a bug.
        raise RuntimeError(f"{purchase.id} has a grant that its row does not name")
    purchase.grant_id = grant.id
    return {"state": "paid", "grant_id": grant.id, "paid_at": moment, "next_sync_at": NEVER}


def _reverse(session: Session, purchase: Purchase, state: CheckoutState) -> dict[str, object]:
    """Revoke in proportion to refunds and lost disputes; freeze while a dispute is open."""
    grant_id = purchase.grant_id
    assert grant_id is not None  # granted just before
    lost_minor = sum(dispute.amount_minor for dispute in state.disputes if dispute.status == "lost")
    reversed_minor = min(state.refunded_minor + lost_minor, state.amount_total or 0)
    connection, moment = session.connection(), now()
    columns: dict[str, object] = {"refunded_minor": reversed_minor}
    if reversed_minor != purchase.refunded_minor and state.amount_total:
        revoked_micro = purchase.credits_micro * reversed_minor // state.amount_total
        reason = "dispute" if lost_minor else "refund"
        ledger.revoke(connection, grant_id, revoked_micro, now=moment, reason=reason)
    if any(dispute.open for dispute in state.disputes):
        ledger.freeze(connection, grant_id, now=moment)
        # A dispute takes weeks, and the event that ends it may be the one that never arrives.
        columns["next_sync_at"] = moment + timedelta(days=1)
    elif state.disputes:
        ledger.unfreeze(connection, grant_id, now=moment)
    return columns
