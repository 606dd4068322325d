"""Emails about a plan: paid, unpaid, changed, ended, refunded, disputed.

Postings: ``posting.post`` calls ``start_changes`` before it changes anything and ``queue_emails``
after, in one transaction and under the subscription's lock. So every email is about a difference
that this posting made, and is queued once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from creditapp import accounts, emails
from creditapp.accounts import User
from creditapp.payments.purchases.notifications import PaymentEmails
from creditapp.payments.stripe.records import InvoiceLine, InvoiceState, Reversals
from creditapp.payments.subscriptions import receipts, webhook_events
from creditapp.payments.subscriptions.models import Invoice, PlanPrice, Subscription

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
    shown: Mapping[str, object]
    """The part of it whose change webhooks tell."""
    paid: list[tuple[Invoice, InvoiceLine | None, int]] = field(default_factory=list)
    """Newly paid invoices, with the plan's line and the credits of their first month."""
    refunded: list[tuple[Invoice, int]] = field(default_factory=list)
    """Invoices with the amount newly refunded; negative if a refund failed."""
    disputes: list[tuple[Invoice, Reversals]] = field(default_factory=list)
    """Invoices with a dispute that was opened or decided."""
    own_micro: dict[str, int] = field(default_factory=dict)
    """The credits that each invoice's own money pays for."""


def start_changes(subscription: Subscription, *, is_new: bool) -> Changes:
    """Record the subscription as it is; call it before anything is posted."""
    return Changes(
        is_new=is_new,
        price_id=subscription.price_id,
        will_change=subscription.will_change,
        will_end=subscription.cancel_at is not None,
        ended=subscription.ended_at is not None,
        shown=webhook_events.shown(subscription),
    )


def queue_emails(
    session: Session,
    subscription: Subscription,
    changes: Changes,
    prices: Mapping[str, PlanPrice],
    unpaid: Sequence[InvoiceState],
    *,
    now: datetime,
) -> None:
    """Queue the emails and webhooks about what the posting changed."""
    begins = changes.is_new and bool(changes.paid or unpaid)
    if begins or webhook_events.shown(subscription) != changes.shown:
        webhook_events.queue_changed(session, subscription, prices, now=now)
    user = accounts.find(session, subscription.user_id)
    if user is None:
        return
    plan_emails = _PlanEmails(session, user, subscription, prices, changes.own_micro, now)
    for invoice, line, first_micro in changes.paid:
        if invoice.paid_minor > 0:
            plan_emails.payment(invoice, line, first_micro)
    for invoice, difference_minor in changes.refunded:
        plan_emails.of(invoice).refund(difference_minor)
    for invoice, reversals in changes.disputes:
        invoice_emails = plan_emails.of(invoice)
        invoice_emails.dispute(
            reversals.disputes[0], invoice_emails.paid_micro, opened=reversals.disputed
        )
    if unpaid and subscription.past_due_since is not None:
        plan_emails.failed_payment(unpaid[0])
    if not changes.is_new:
        plan_emails.plan_change(changes)


@dataclass(frozen=True)
class _PlanEmails:
    """Emails to the owner of one subscription."""

    session: Session
    user: User
    subscription: Subscription
    prices: Mapping[str, PlanPrice]
    own_micro: Mapping[str, int]
    now: datetime

    def of(self, invoice: Invoice) -> PaymentEmails:
        receipt, own_micro = receipts.of_invoice(invoice), self.own_micro[invoice.id]
        version = self.subscription.version
        return PaymentEmails(self.session, self.user, receipt, own_micro, version, self.now)

    def payment(self, invoice: Invoice, line: InvoiceLine | None, first_micro: int) -> None:
        price = self.prices.get(line.price_id if line else self.subscription.price_id)
        context: dict[str, object] = {
            "kind": _PAYMENT_KINDS.get(invoice.billing_reason, "renewed"),
            "plan": price.plan_name if price else invoice.title,
            "period_start": line.starts_at if line else self.subscription.period_start,
            "period_end": line.ends_at if line else self.subscription.period_end,
            "credits_micro": first_micro,
            "every_month": invoice.credits_micro > first_micro,
        }
        self.of(invoice).payment("renewal", context)

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
        change, at = self._changed(changes)
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

    def _queue(self, event: str, context: Mapping[str, object], key: str) -> None:
        emails.notify(self.session, event, self.user, context, key, now=self.now)

    def _changed(self, changes: Changes) -> tuple[str | None, datetime]:
        """Return the one change to report, or None, and when it takes effect."""
        subscription = self.subscription
        if subscription.ended_at is not None:
            return (None if changes.ended else "ended"), subscription.ended_at
        if subscription.price_id != changes.price_id and any(
            invoice.billing_reason == "subscription_update" for invoice, _, _ in changes.paid
        ):
            return "upgraded", self.now
        change = None
        if subscription.cancel_at is not None:
            return (None if changes.will_end else "will_end"), subscription.cancel_at
        if changes.will_end:
            change = "resumed"
        elif subscription.will_change and not changes.will_change:
            change = "will_change"
        return change, subscription.period_end
