"""Emails about a plan: paid, unpaid, changed, ended, refunded, disputed.

Postings: ``posting.post`` calls ``start_changes`` before it changes anything and ``queue_emails``
after, in one transaction and under the subscription's lock. So every email is about a difference
that this posting made, and is queued once.
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

_PAYMENT_KINDS = {"subscription_create": "begun", "subscription_update": "upgraded"}
"""By billing reason; every other payment is a renewal."""


@dataclass
class Changes:
    """The subscription before a posting, and what the posting changed of its invoices."""

    is_new: bool
    price_id: str
    will_change: bool
    """Whether a change of plan or seats was already scheduled."""
    will_end: bool
    ended: bool
    paid: list[tuple[Invoice, InvoiceState, int]] = field(default_factory=list)
    """Newly paid invoices, with the credits of their first month."""
    refunded: list[tuple[Invoice, int]] = field(default_factory=list)
    """Invoices with the amount newly refunded; negative if a refund failed."""
    disputes: list[tuple[Invoice, DisputeState, str]] = field(default_factory=list)
    own_micro: dict[str, int] = field(default_factory=dict)
    """The credits that each invoice's own money pays for."""


def start_changes(subscription: Subscription, *, is_new: bool) -> Changes:
    """Record the subscription as it is; call it before anything is posted."""
    return Changes(
        is_new=is_new,
        price_id=subscription.price_id,
        will_change=subscription.will_change,
        will_end=subscription.cancel_at_period_end,
        ended=subscription.ended_at is not None,
    )


def queue_emails(
    session: Session,
    subscription: Subscription,
    changes: Changes,
    prices: Mapping[str, PlanPrice],
    unpaid: InvoiceState | None,
) -> None:
    """Queue the emails about what the posting changed."""
    user = accounts.find(session, subscription.user_id)
    if user is None:
        return
    plan_emails = _PlanEmails(session, user, subscription, prices)
    for invoice, state, first_micro in changes.paid:
        if invoice.paid_minor > 0:
            plan_emails.payment(invoice, state, first_micro)
    for invoice, difference_minor in changes.refunded:
        plan_emails.refund(invoice, difference_minor, changes.own_micro[invoice.id])
    for invoice, dispute, event in changes.disputes:
        plan_emails.dispute(invoice, dispute, event, changes.own_micro[invoice.id])
    if unpaid is not None and subscription.past_due_since is not None:
        plan_emails.failed_payment(unpaid)
    if not changes.is_new:
        plan_emails.plan_change(changes)


@dataclass(frozen=True)
class _PlanEmails:
    """Emails to the owner of one subscription."""

    session: Session
    user: User
    subscription: Subscription
    prices: Mapping[str, PlanPrice]

    def payment(self, invoice: Invoice, state: InvoiceState, first_micro: int) -> None:
        # An invoice that was created by hand at Stripe may have no line with a price.
        line = max(state.lines, key=lambda line: line.amount_minor, default=None)
        price = self.prices.get(line.price_id if line else self.subscription.price_id)
        charged_minor = invoice.subtotal_minor + invoice.tax_minor
        context = _invoice_context(invoice) | {
            "kind": _PAYMENT_KINDS.get(invoice.billing_reason, "renewed"),
            "plan": price.plan_name if price else invoice.title,
            "period_start": line.starts_at if line else self.subscription.period_start,
            "period_end": line.ends_at if line else self.subscription.period_end,
            "credits_micro": first_micro,
            "every_month": invoice.credits_micro > first_micro,
            "price_minor": invoice.subtotal_minor,
            "discount_minor": max(0, charged_minor - invoice.total_minor),
            "tax_minor": invoice.tax_minor,
            "total_minor": invoice.paid_minor,
        }
        self._queue("renewal", context, f"renewal:{invoice.id}")

    def failed_payment(self, invoice: InvoiceState) -> None:
        price = self.prices.get(self.subscription.price_id)
        context: dict[str, object] = {
            "plan": price.plan_name if price else "",
            "amount_minor": invoice.total_minor,
            "currency": invoice.currency.upper(),
            "card": "",
            "retry_at": invoice.next_try_at,
            "ends_at": None,
            "path": "/dashboard",
        }
        attempt = f"{invoice.next_try_at:%Y%m%d%H}" if invoice.next_try_at else "last"
        self._queue("payment_failed", context, f"payment_failed:{invoice.id}:{attempt}")

    def plan_change(self, changes: Changes) -> None:
        subscription, prices = self.subscription, self.prices
        change, at = _plan_change(subscription, changes)
        price = prices.get(subscription.price_id)
        if change is None or price is None:
            return
        old_price, new_price, seats = price, None, subscription.quantity
        if change == "upgraded":
            old_price, new_price = prices.get(changes.price_id, price), price
        elif change == "will_change":
            new_price, seats = prices.get(subscription.next_price_id), subscription.next_quantity
        charged_price = new_price or price
        is_ending = change in ("will_end", "ended")
        context = {
            "change": change,
            "plan": old_price.plan_name,
            "new_plan": new_price.plan_name if new_price else None,
            "at": at,
            "price_minor": None if is_ending else charged_price.price_minor * seats,
            "currency": charged_price.currency.upper(),
            "cycle": charged_price.cycle,
            "path": "/dashboard",
        }
        key = f"plan_changed:{subscription.id}:{subscription.version}"
        self._queue("plan_changed", context, key)

    def refund(self, invoice: Invoice, difference_minor: int, own_micro: int) -> None:
        refunded_minor = abs(difference_minor)
        context = _invoice_context(invoice) | {
            "item": invoice.title,
            "undone": difference_minor < 0,
            "refunded_minor": refunded_minor,
            "back_minor": invoice.refunded_minor,
            "total_minor": invoice.paid_minor,
            "credits_micro": refunded_minor * own_micro // (invoice.paid_minor or 1),
        }
        self._queue("refund", context, f"refund:{invoice.id}:{self.subscription.version}")

    def dispute(self, invoice: Invoice, dispute: DisputeState, event: str, own_micro: int) -> None:
        context = _invoice_context(invoice) | {
            "item": invoice.title,
            "amount_minor": dispute.amount_minor,
            "credits_micro": own_micro,
        }
        if event == "dispute_closed":
            context["outcome"] = "lost" if dispute.status == "lost" else "won"
        self._queue(event, context, f"{event}:{dispute.id}")

    def _queue(self, event: str, context: Mapping[str, object], key: str) -> None:
        emails.notify(self.session, event, self.user, context, key, now=now())


def _plan_change(subscription: Subscription, changes: Changes) -> tuple[str | None, datetime]:
    """Return the one change to report, or None, and when it takes effect."""
    if subscription.ended_at is not None:
        return (None if changes.ended else "ended"), subscription.ended_at
    if subscription.price_id != changes.price_id and any(
        invoice.billing_reason == "subscription_update" for invoice, _, _ in changes.paid
    ):
        return "upgraded", now()
    if subscription.cancel_at_period_end and not changes.will_end:
        return "will_end", subscription.period_end
    if changes.will_end and not subscription.cancel_at_period_end:
        return "resumed", subscription.period_end
    if subscription.will_change and not changes.will_change:
        return "will_change", subscription.period_end
    return None, subscription.period_end


def _invoice_context(invoice: Invoice) -> dict[str, object]:
    return {
        "number": invoice.number or invoice.id,
        "path": receipts.PATH.format(invoice.id),
        "currency": invoice.currency.upper(),
        "sandbox": get(Settings).sandbox,
    }
