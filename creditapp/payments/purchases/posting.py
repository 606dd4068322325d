"""What a purchase and the ledger become when Stripe has said how a checkout stands.

One function, called by ``checkout.sync`` under the purchase's lock. It posts differences: what
should be granted, revoked in total and frozen, less what is; saying the same twice posts nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from creditapp import ledger
from creditapp.clock import NEVER, now
from creditapp.payments.auto_topup import outcomes as topup_outcomes
from creditapp.payments.purchases import notifications
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import CheckoutState

PENDING_DAYS = 30
"""How long the sweep asks about money that is on its way; the slowest bank debits take half."""

log = structlog.get_logger(__name__)


def post(
    session: Session, purchase: Purchase, checkout: CheckoutState, *, failed_by_event: bool
) -> None:
    """Bring row and ledger to what Stripe says, within the caller's transaction."""
    noted: dict[str, object] = {"payment_intent_id": checkout.payment_intent_id}
    if not purchase.automatic:  # that one is paid without a checkout
        noted["checkout_id"] = checkout.id
    before = notifications.snapshot(session, purchase)
    difference = _difference(purchase, checkout)
    if purchase.grant_id is None and checkout.paid and difference:
        log.error("payment needs review", purchase=purchase.id, reason=difference)
        noted |= {"state": "review", "review_reason": difference, "next_sync_at": NEVER}
    elif checkout.paid and purchase.cycle is not None:
        # Its invoices give the credits, and have given the first of them: ``subscriptions.sync``.
        noted |= {"state": "paid", "subscription_id": checkout.subscription_id}
        noted |= {"paid_at": purchase.paid_at or now(), "next_sync_at": NEVER}
    elif checkout.paid:
        noted |= _grant_once(session, purchase)
        noted |= _reverse(session, purchase, checkout)
        noted |= {
            "total_minor": checkout.amount_total,
            "discount_minor": checkout.discount_minor,
            "tax_minor": checkout.tax_minor,
        }
    elif purchase.grant_id is not None:
        # Stripe takes no payment back except by refund or dispute; a person must look at this.
        log.error("a granted purchase is no longer paid", purchase=purchase.id)
        noted = {"next_sync_at": NEVER}
    elif checkout.failure is not None:
        noted |= {"state": "failed", "next_sync_at": NEVER}
    elif checkout.status == "expired":
        noted |= {"state": "expired", "next_sync_at": NEVER}
    elif checkout.status == "complete":
        noted |= _pending(purchase, failed_by_event=failed_by_event)
    else:
        noted |= {"checkout_url": checkout.url, "next_sync_at": next_look(purchase)}
    write(session, purchase, **noted)
    if checkout.paid:
        notifications.notify(session, purchase, checkout, before)
    if purchase.automatic:
        topup_outcomes.note(session, purchase, checkout.failure)


def next_look(purchase: Purchase) -> datetime:
    """Return when the sweep asks again about a checkout that nobody has paid yet.

    A webhook may never come and the buyer may have closed the window, so the longest pause is also
    how long somebody who has paid can be without the credits.
    """
    age = now() - purchase.created_at
    if purchase.checkout_id is None:
        return now() + timedelta(minutes=10)  # its address never left the house: nobody can pay it
    return now() + (timedelta(minutes=1) if age < timedelta(hours=1) else timedelta(minutes=2))


def write(session: Session, purchase: Purchase, **values: object) -> None:
    """Change columns of the purchase, in the row and in the object alike."""
    session.execute(
        update(Purchase)
        .where(Purchase.id == purchase.id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    for name, value in values.items():
        setattr(purchase, name, value)


def _pending(purchase: Purchase, *, failed_by_event: bool) -> dict[str, object]:
    """Say that the money comes later, or not at all; whatever Stripe says next still counts."""
    age = now() - purchase.created_at
    if failed_by_event or purchase.state == "failed" or age > timedelta(days=PENDING_DAYS):
        return {"state": "failed", "next_sync_at": NEVER}
    pause = timedelta(minutes=2) if age < timedelta(hours=1) else timedelta(minutes=30)
    return {"state": "pending", "next_sync_at": now() + pause}


def _difference(purchase: Purchase, checkout: CheckoutState) -> str | None:
    """Say in what the checkout is not the one that was priced, or None when it is."""
    if checkout.metadata.get("purchase_id") != purchase.id:
        return "the checkout belongs to another purchase"
    if checkout.livemode != purchase.livemode:
        return "live and test mode differ"
    if (checkout.currency or "").lower() != purchase.currency.lower():
        return f"paid in {checkout.currency}"
    expected = 0 if purchase.trial_days else purchase.price_minor * purchase.seats
    if checkout.amount_subtotal != expected:
        return f"the subtotal is {checkout.amount_subtotal}"
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
        # The origin is unique over all wallets; a grant that the row does not know of is a bug.
        raise RuntimeError(f"{purchase.id} was granted without a note of it")
    return {"state": "paid", "grant_id": grant.id, "paid_at": moment, "next_sync_at": NEVER}


def _reverse(session: Session, purchase: Purchase, checkout: CheckoutState) -> dict[str, object]:
    """Take back in proportion what was refunded or lost in a dispute; freeze what is disputed."""
    grant_id = purchase.grant_id or _grant_id(session, purchase)
    lost_minor = sum(each.amount_minor for each in checkout.disputes if each.status == "lost")
    back_minor = min(checkout.refunded_minor + lost_minor, checkout.amount_total or 0)
    connection, moment = session.connection(), now()
    noted: dict[str, object] = {"refunded_minor": back_minor}
    if back_minor != purchase.refunded_minor and checkout.amount_total:
        revoked_micro = purchase.credits_micro * back_minor // checkout.amount_total
        reason = "dispute" if lost_minor else "refund"
        ledger.revoke(connection, grant_id, revoked_micro, now=moment, reason=reason)
    if any(each.open for each in checkout.disputes):
        ledger.freeze(connection, grant_id, now=moment)
        # A dispute takes weeks, and the event that ends it may be the one that never comes.
        noted["next_sync_at"] = moment + timedelta(days=1)
    elif checkout.disputes:
        ledger.unfreeze(connection, grant_id, now=moment)
    return noted


def _grant_id(session: Session, purchase: Purchase) -> int:
    grant = ledger.find_grant(session.connection(), f"purchase:{purchase.id}")
    if grant is None:
        raise RuntimeError(f"{purchase.id} has no grant")
    return grant.id
