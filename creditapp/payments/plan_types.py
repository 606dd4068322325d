"""What the plans ask of a payment provider, and the records in which it answers.

Moments are aware and in UTC, amounts integers of the currency's minor unit, currencies lowercase
as Stripe writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from creditapp.payments.gateway_types import CheckoutCreated, DisputeState, RefundState

LIVE_STATUSES = ("active", "trialing", "past_due")
"""A subscription in one of these is somebody's plan; ``incomplete`` has never been paid."""


@dataclass(frozen=True)
class SubscriptionState:
    """What Stripe says about a subscription now."""

    id: str
    status: str
    """``trialing``, ``active``, ``past_due``, ``canceled``, ``unpaid``, ``incomplete``, …"""
    customer_id: str
    item_id: str
    price_id: str
    """What the next invoice will charge; what is paid already is said by the invoices."""
    quantity: int
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    trial_end: datetime | None
    created: datetime
    ended_at: datetime | None
    metadata: Mapping[str, str]
    livemode: bool

    @property
    def live(self) -> bool:
        """Whether it is somebody's plan now."""
        return self.status in LIVE_STATUSES


@dataclass(frozen=True)
class InvoiceLine:
    """One line of an invoice: a price for a stretch of time; negative where time is given back."""

    price_id: str
    amount_minor: int
    quantity: int
    starts_at: datetime
    ends_at: datetime
    proration: bool


@dataclass(frozen=True)
class InvoiceState:
    """What Stripe says about an invoice now."""

    id: str
    number: str | None
    status: str
    """``draft``, ``open``, ``paid``, ``void`` or ``uncollectible``."""
    billing_reason: str
    subscription_id: str | None
    currency: str
    subtotal_minor: int
    total_minor: int
    tax_minor: int
    paid_minor: int
    created: datetime
    paid_at: datetime | None
    next_try_at: datetime | None
    page_url: str | None
    lines: tuple[InvoiceLine, ...]
    livemode: bool

    @property
    def paid(self) -> bool:
        """Whether nothing more is owed on it: the condition for a cycle's credits."""
        return self.status == "paid"


@dataclass(frozen=True)
class Reversals:
    """What went back of a payment, and what is disputed."""

    refunds: tuple[RefundState, ...] = ()
    disputes: tuple[DisputeState, ...] = ()


class PlanGateway(Protocol):
    """What plans need of a payment provider. Methods raise ``GatewayError``."""

    def create_price(
        self,
        *,
        key: str,
        product: str,
        price_minor: int,
        currency: str,
        cycle: str,
        metadata: Mapping[str, str],
    ) -> str:
        """Return the id of a recurring price; the same ``key`` within a day makes no other."""

    def create_plan_checkout(
        self,
        *,
        purchase_id: str,
        customer_id: str,
        price_id: str,
        quantity: int,
        success_url: str,
        cancel_url: str,
        trial_days: int = 0,
        attempt: int = 1,
        expires_at: datetime | None = None,
    ) -> CheckoutCreated:
        """Open a checkout that begins a subscription; the same attempt gives the same checkout."""

    def retrieve_subscription(self, subscription_id: str) -> SubscriptionState:
        """Return what is true of a subscription now."""

    def list_invoices(self, subscription_id: str) -> tuple[InvoiceState, ...]:
        """Return all invoices of a subscription but drafts, the oldest first."""

    def list_invoices_since(self, created_after: datetime) -> tuple[InvoiceState, ...]:
        """Return the invoices of all subscriptions that were made since a moment."""

    def payment_of_invoice(self, invoice_id: str) -> str | None:
        """Return the payment intent that paid an invoice; None where nothing was to pay."""

    def reversals_of(self, payment_intent_id: str) -> Reversals:
        """Return the refunds and disputes of a payment."""

    def invoice_of_payment(self, payment_intent_id: str) -> str | None:
        """Return the invoice that a payment intent paid, or None where it paid no invoice."""

    def change_subscription(
        self,
        subscription: SubscriptionState,
        *,
        price_id: str,
        quantity: int,
        prorate_at: datetime | None,
        key: str,
        goes_on: bool = False,
    ) -> None:
        """Move a subscription to another price, and with ``goes_on`` take back that it was to end.

        With ``prorate_at`` at once: the difference for the time left is charged now, and a card
        that declines changes nothing (``declined``). Without it nothing is charged, and the next
        invoice is at the new price.
        """

    def preview_change(
        self,
        subscription: SubscriptionState,
        *,
        price_id: str,
        quantity: int,
        prorate_at: datetime,
    ) -> InvoiceState:
        """Return the invoice that a change at once would make; nothing changes."""

    def cancel_at_period_end(self, subscription_id: str, *, cancel: bool) -> None:
        """Let a subscription end with the time that is paid, or go on after all."""

    def cancel_now(self, subscription_id: str) -> None:
        """End a subscription at once; what was paid is not touched."""

    def create_portal(
        self,
        *,
        customer_id: str,
        return_url: str,
        flow: str | None = None,
        subscription_id: str | None = None,
    ) -> str:
        """Return the address of the customer's portal; ``flow`` leads straight to one thing:
        ``payment_method_update``, ``subscription_cancel`` or ``subscription_update``."""
