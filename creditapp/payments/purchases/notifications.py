"""What a buyer is told about a pack: paid, refunded, disputed. Queued with what they tell of.

``posting.post`` looks before it changes anything and tells after, within one transaction and under
the purchase's lock: whatever is told is a difference that this very posting made, so it is told
once however often Stripe says it, and not at all when the posting is rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from creditapp import accounts, emails, ledger
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.payments.auto_topup import outcomes as topup_outcomes
from creditapp.payments.purchases import receipts
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.records import CheckoutState, DisputeState


@dataclass(frozen=True)
class Before:
    """How a purchase stood before a posting."""

    paid: bool
    back_minor: int
    frozen: bool


def snapshot(session: Session, purchase: Purchase) -> Before:
    """Return how the purchase stands now; call it before anything is posted."""
    frozen = False
    if purchase.grant_id is not None:
        grant = ledger.grant_by_id(session.connection(), purchase.grant_id)
        frozen = grant.frozen_at is not None
    return Before(purchase.grant_id is not None, purchase.refunded_minor, frozen)


def notify(session: Session, purchase: Purchase, checkout: CheckoutState, before: Before) -> None:
    """Queue the mails about what the posting changed."""
    user = accounts.find(session, purchase.user_id)
    if user is None or purchase.grant_id is None:
        return
    if not before.paid and purchase.automatic:
        topup_outcomes.tell_done(session, purchase, user)
    elif not before.paid:
        _receipt(session, purchase, user)
    back_minor = purchase.refunded_minor - before.back_minor
    if checkout.disputes:
        back_minor -= _tell_of_dispute(session, purchase, user, checkout, before)
    if back_minor:
        _refund(session, purchase, user, back_minor)


def _tell_of_dispute(
    session: Session, purchase: Purchase, user: User, checkout: CheckoutState, before: Before
) -> int:
    """Tell that a dispute was opened or decided; return how much of the money went by it now."""
    newest = checkout.disputes[0]  # Stripe lists them so
    back_minor = max(0, purchase.refunded_minor - before.back_minor)
    lost_minor = min(newest.amount_minor, back_minor) if newest.status == "lost" else 0
    if any(each.open for each in checkout.disputes):
        if not before.frozen:
            _dispute(session, purchase, user, newest, "dispute_opened", lost_minor=0)
    elif before.frozen or lost_minor:
        _dispute(session, purchase, user, newest, "dispute_closed", lost_minor=lost_minor)
    return lost_minor


def _receipt(session: Session, purchase: Purchase, user: User) -> None:
    paid = receipts.amounts(purchase)
    context = _about(purchase) | {
        "bought_at": purchase.paid_at,
        "credits_micro": purchase.credits_micro,
        "price_minor": paid.price_minor,
        "discount_minor": paid.discount_minor,
        "tax_minor": paid.tax_minor,
        "total_minor": paid.total_minor,
    }
    emails.notify(session, "receipt", user, context, f"receipt:{purchase.id}", now=now())


def _refund(session: Session, purchase: Purchase, user: User, difference_minor: int) -> None:
    """Tell of money that went back, or of a refund that failed and was undone (less than before).

    The key is the purchase's version, which moves with every posting: amounts may repeat.
    """
    context = _about(purchase) | {
        "undone": difference_minor < 0,
        "refunded_minor": abs(difference_minor),
        "back_minor": purchase.refunded_minor,
        "total_minor": receipts.amounts(purchase).total_minor,
        "credits_micro": _share(purchase, abs(difference_minor)),
    }
    key = f"refund:{purchase.id}:{purchase.version}"
    emails.notify(session, "refund", user, context, key, now=now())


def _dispute(
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
    context = _about(purchase) | {
        "amount_minor": dispute.amount_minor,
        "credits_micro": _share(purchase, lost_minor) if lost else grant.remaining_micro,
    }
    if event == "dispute_closed":
        context["outcome"] = "lost" if lost else "won"
    emails.notify(session, event, user, context, f"{event}:{dispute.id}", now=now())


def _about(purchase: Purchase) -> dict[str, object]:
    return {
        "number": purchase.id,
        "path": receipts.PATH.format(purchase.id),
        "item": f"{purchase.pack_name} pack",
        "currency": purchase.currency,
        "sandbox": purchase.sandbox,
    }


def _share(purchase: Purchase, minor: int) -> int:
    """Return the credits that a part of what was paid stands for."""
    total_minor = receipts.amounts(purchase).total_minor
    return purchase.credits_micro * minor // total_minor if total_minor else 0
