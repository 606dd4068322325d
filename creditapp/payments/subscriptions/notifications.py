"""What somebody is told about their plan: paid, unpaid, changed, ended, refunded, disputed.

As ``telling`` for packs: ``plan_posting.post`` looks before it changes anything and tells after,
within one transaction and under the subscription's lock, so whatever is told is a difference that
this very posting made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import accounts, emails
from creditapp.accounts import User
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.payments.purchases import receipts
from creditapp.payments.stripe.records import DisputeState, InvoiceState
from creditapp.payments.subscriptions.models import Invoice, PlanPrice, Subscription
from creditapp.services import get

_KINDS = {"subscription_create": "begun", "subscription_update": "upgraded"}
"""What a payment was for, where it was no renewal."""


@dataclass
class Changes:
    """How a subscription stood before a posting, and what the posting did to its invoices."""

    new: bool
    price_id: str
    waiting: bool
    """Whether another plan, or another number of seats, was already to come."""
    ends: bool
    ended: bool
    paid: list[tuple[Invoice, InvoiceState, int]] = field(default_factory=list)
    """Invoices that were written down now, and what their first month gives."""
    back: list[tuple[Invoice, int]] = field(default_factory=list)
    """Invoices of which more (or, negative, less) went back than before."""
    disputes: list[tuple[Invoice, DisputeState, str]] = field(default_factory=list)
    paid_for: dict[str, int] = field(default_factory=dict)
    """The credits that each invoice's own money pays for."""


def snapshot(row: Subscription, *, new: bool) -> Changes:
    """Return how a subscription stands now; call it before anything is posted."""
    return Changes(
        new=new,
        price_id=row.price_id,
        waiting=row.will_change,
        ends=row.cancel_at_period_end,
        ended=row.ended_at is not None,
    )


def notify(
    session: Session,
    row: Subscription,
    changes: Changes,
    prices: Mapping[str, PlanPrice],
    unpaid: InvoiceState | None,
) -> None:
    """Queue the mails about what the posting changed."""
    user = accounts.find(session, row.user_id)
    if user is None:
        return
    for invoice, state, first_micro in changes.paid:
        if invoice.paid_minor > 0:
            _paid(session, user, row, (invoice, state, first_micro), prices)
    for invoice, difference_minor in changes.back:
        own_micro = changes.paid_for[invoice.id]
        _back(session, user, row, invoice, difference_minor, own_micro)
    for invoice, dispute, event in changes.disputes:
        _dispute(session, user, invoice, dispute, event, changes.paid_for[invoice.id])
    if unpaid is not None and row.past_due_since is not None:
        _unpaid(session, user, row, unpaid, prices)
    if not changes.new:
        _changed(session, user, row, changes, prices)


def _paid(
    session: Session,
    user: User,
    row: Subscription,
    paid: tuple[Invoice, InvoiceState, int],
    prices: Mapping[str, PlanPrice],
) -> None:
    invoice, state, first_micro = paid
    # An invoice that was written by hand at Stripe may have no line about a price.
    bought = max(state.lines, key=lambda line: line.amount_minor, default=None)
    price = prices.get(bought.price_id if bought else row.price_id)
    context = _about(invoice) | {
        "kind": _KINDS.get(invoice.billing_reason, "renewed"),
        "plan": price.plan_name if price else invoice.title,
        "period_start": bought.starts_at if bought else row.period_start,
        "period_end": bought.ends_at if bought else row.period_end,
        "credits_micro": first_micro,
        "every_month": invoice.credits_micro > first_micro,
        "price_minor": invoice.subtotal_minor,
        "discount_minor": max(0, invoice.subtotal_minor + invoice.tax_minor - invoice.total_minor),
        "tax_minor": invoice.tax_minor,
        "total_minor": invoice.paid_minor,
    }
    emails.notify(session, "renewal", user, context, f"renewal:{invoice.id}", now=now())


def _unpaid(
    session: Session,
    user: User,
    row: Subscription,
    state: InvoiceState,
    prices: Mapping[str, PlanPrice],
) -> None:
    price = prices.get(row.price_id)
    context: dict[str, object] = {
        "plan": price.plan_name if price else "",
        "amount_minor": state.total_minor,
        "currency": state.currency.upper(),
        "card": "",
        "retry_at": state.next_try_at,
        "ends_at": None,
        "path": "/dashboard",
    }
    tried = f"{state.next_try_at:%Y%m%d%H}" if state.next_try_at else "last"
    emails.notify(
        session, "payment_failed", user, context, f"payment_failed:{state.id}:{tried}", now=now()
    )


def _changed(
    session: Session,
    user: User,
    row: Subscription,
    changes: Changes,
    prices: Mapping[str, PlanPrice],
) -> None:
    change, at = _what(row, changes)
    price, before = prices.get(row.price_id), prices.get(changes.price_id)
    following = prices.get(row.next_price_id)
    if change is None or price is None:
        return
    new = {"upgraded": price, "will_change": following}.get(change)
    old = before if change == "upgraded" and before else price
    named = new or price
    seats = row.next_quantity if change == "will_change" else row.quantity
    context = {
        "change": change,
        "plan": old.plan_name,
        "new_plan": new.plan_name if new else None,
        "at": at,
        "price_minor": None if change in ("will_end", "ended") else named.price_minor * seats,
        "currency": named.currency.upper(),
        "cycle": named.cycle,
        "path": "/dashboard",
    }
    key = f"plan_changed:{row.id}:{row.version}"
    emails.notify(session, "plan_changed", user, context, key, now=now())


def _what(row: Subscription, changes: Changes) -> tuple[str | None, datetime]:
    """Return the one change that people are to hear of, and its moment."""
    if row.ended_at is not None:
        return (None if changes.ended else "ended"), row.ended_at
    if row.price_id != changes.price_id and any(
        invoice.billing_reason == "subscription_update" for invoice, _, _ in changes.paid
    ):
        return "upgraded", now()
    if row.cancel_at_period_end and not changes.ends:
        return "will_end", row.period_end
    if changes.ends and not row.cancel_at_period_end:
        return "resumed", row.period_end
    if row.will_change and not changes.waiting:
        return "will_change", row.period_end
    return None, row.period_end


def _back(
    session: Session,
    user: User,
    row: Subscription,
    invoice: Invoice,
    difference_minor: int,
    own_micro: int,
) -> None:
    share = abs(difference_minor) * own_micro // (invoice.paid_minor or 1)
    context = _about(invoice) | {
        "item": invoice.title,
        "undone": difference_minor < 0,
        "refunded_minor": abs(difference_minor),
        "back_minor": invoice.refunded_minor,
        "total_minor": invoice.paid_minor,
        "credits_micro": share,
    }
    key = f"refund:{invoice.id}:{row.version}"
    emails.notify(session, "refund", user, context, key, now=now())


def _dispute(
    session: Session,
    user: User,
    invoice: Invoice,
    dispute: DisputeState,
    event: str,
    own_micro: int,
) -> None:
    context = _about(invoice) | {
        "item": invoice.title,
        "amount_minor": dispute.amount_minor,
        "credits_micro": own_micro,
    }
    if event == "dispute_closed":
        context["outcome"] = "lost" if dispute.status == "lost" else "won"
    emails.notify(session, event, user, context, f"{event}:{dispute.id}", now=now())


def _about(invoice: Invoice) -> dict[str, object]:
    return {
        "number": invoice.number or invoice.id,
        "path": receipts.PATH.format(invoice.id),
        "currency": invoice.currency.upper(),
        "sandbox": get(Settings).sandbox,
    }
