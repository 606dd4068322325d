"""Emails about a purchase that was paid, refunded or disputed.

``posting.post`` takes a snapshot before it changes anything and notifies after, within one
transaction and under the purchase's lock. An email therefore reports a difference that this very
posting made: it is queued once however often Stripe repeats itself, and not at all when the
posting is rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from creditapp import accounts, emails, ledger
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.kinds import kind_of
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import CheckoutState, DisputeState


@dataclass(frozen=True)
class PurchaseSnapshot:
    """State of a purchase before a posting."""

    granted: bool
    refunded_minor: int
    frozen: bool


def snapshot(session: Session, purchase: Purchase) -> PurchaseSnapshot:
    """Return the purchase's present state; call it before anything is posted."""
    frozen = False
    if purchase.grant_id is not None:
        grant = ledger.grant_by_id(session.connection(), purchase.grant_id)
        frozen = grant.frozen_at is not None
    return PurchaseSnapshot(purchase.grant_id is not None, purchase.refunded_minor, frozen)


def notify(
    session: Session, purchase: Purchase, state: CheckoutState, before: PurchaseSnapshot
) -> None:
    """Queue the emails about the posting's changes."""
    user = accounts.find(session, purchase.user_id)
    if user is None or purchase.grant_id is None:
        return
    if not before.granted:
        kind_of(purchase).notify_paid(session, purchase, user)
    refunded_minor = purchase.refunded_minor - before.refunded_minor
    if state.disputes:
        refunded_minor -= _notify_of_dispute(session, purchase, user, state, before)
    if refunded_minor:
        _notify_of_refund(session, purchase, user, refunded_minor)


def send_receipt(session: Session, purchase: Purchase, user: User) -> None:
    """Queue the receipt of a paid pack."""
    amounts = receipts.amounts(purchase)
    context = _context(purchase) | {
        "bought_at": purchase.paid_at,
        "credits_micro": purchase.credits_micro,
        "price_minor": amounts.price_minor,
        "discount_minor": amounts.discount_minor,
        "tax_minor": amounts.tax_minor,
        "total_minor": amounts.total_minor,
    }
    emails.notify(session, "receipt", user, context, f"receipt:{purchase.id}", now=now())


def _notify_of_dispute(
    session: Session,
    purchase: Purchase,
    user: User,
    state: CheckoutState,
    before: PurchaseSnapshot,
) -> int:
    """Notify of an opened or decided dispute; return the money that this posting lost to it."""
    newest = state.disputes[0]  # Stripe lists the newest first
    reversed_minor = max(0, purchase.refunded_minor - before.refunded_minor)
    lost_minor = min(newest.amount_minor, reversed_minor) if newest.status == "lost" else 0
    if any(dispute.open for dispute in state.disputes):
        if not before.frozen:
            _queue_dispute_email(session, purchase, user, newest, "dispute_opened", lost_minor=0)
    elif before.frozen or lost_minor:
        _queue_dispute_email(
            session, purchase, user, newest, "dispute_closed", lost_minor=lost_minor
        )
    return lost_minor


def _queue_dispute_email(
    session: Session,
    purchase: Purchase,
    user: User,
    dispute: DisputeState,
    event: str,
    *,
    lost_minor: int,
) -> None:
    assert purchase.grant_id is not None
    grant = ledger.grant_by_id(session.connection(), purchase.grant_id)
    lost = dispute.status == "lost"
    context = _context(purchase) | {
        "amount_minor": dispute.amount_minor,
        "credits_micro": _credits_of(purchase, lost_minor) if lost else grant.remaining_micro,
    }
    if event == "dispute_closed":
        context["outcome"] = "lost" if lost else "won"
    emails.notify(session, event, user, context, f"{event}:{dispute.id}", now=now())


def _notify_of_refund(
    session: Session, purchase: Purchase, user: User, difference_minor: int
) -> None:
    """Notify of a refund or, where the difference is negative, of a refund that failed.

    The key contains the purchase's version, which moves with every posting: amounts may repeat.
    """
    context = _context(purchase) | {
        "undone": difference_minor < 0,
        "refunded_minor": abs(difference_minor),
        "back_minor": purchase.refunded_minor,
        "total_minor": receipts.amounts(purchase).total_minor,
        "credits_micro": _credits_of(purchase, abs(difference_minor)),
    }
    key = f"refund:{purchase.id}:{purchase.version}"
    emails.notify(session, "refund", user, context, key, now=now())


def _context(purchase: Purchase) -> dict[str, object]:
    return {
        "number": purchase.id,
        "path": receipts.PATH.format(purchase.id),
        "item": f"{purchase.pack_name} pack",
        "currency": purchase.currency,
        "sandbox": purchase.sandbox,
    }


def _credits_of(purchase: Purchase, amount_minor: int) -> int:
    """Return the purchase's credits in proportion to a part of the payment."""
    total_minor = receipts.amounts(purchase).total_minor
    return purchase.credits_micro * amount_minor // total_minor if total_minor else 0
