"""Records that the Stripe gateway returns, and its errors.

Amounts are integers of the currency's minor unit, currencies lowercase as Stripe writes them, times
aware and in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

_SECRETS = re.compile(r"\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_*]+")

STRIPE_ID_LENGTH = 255
"""Stripe's ids may be this long (https://docs.stripe.com/upgrades)."""


class GatewayError(Exception):
    """A request to Stripe failed.

    ``permanent`` means that another try cannot help, ``declined`` that the card was declined;
    ``param`` is the parameter that Stripe refuses.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        code: str | None = None,
        declined: bool = False,
        param: str | None = None,
    ) -> None:
        super().__init__(_SECRETS.sub("[key]", message))
        self.permanent = permanent
        self.code = code
        self.declined = declined
        self.param = param

    @property
    def customer_missing(self) -> bool:
        """Whether Stripe has no such customer: deleted, or of another account."""
        is_customer = self.param == "customer" or "No such customer" in str(self)  # in a path
        return self.code == "resource_missing" and is_customer

    @property
    def price_refused(self) -> bool:
        """Whether Stripe has no such price, or does not sell it any more."""
        return self.permanent and (self.param or "").endswith("[price]")


@dataclass(frozen=True)
class CheckoutRequest:
    """The checkout to open for a purchase; each attempt is a request of its own."""

    purchase_id: str
    success_url: str
    cancel_url: str
    attempt: int = 1
    expires_at: datetime | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata by which events and listed objects name the purchase."""
        return {"purchase_id": self.purchase_id}


@dataclass(frozen=True)
class CheckoutCreated:
    """A new checkout: its id and the address of its page."""

    id: str
    url: str


@dataclass(frozen=True)
class RefundState:
    """One refund of a payment; a ``failed`` or ``canceled`` one returned no money."""

    id: str
    amount_minor: int
    status: str
    refund_id: str | None = None
    """Our id of it, if it was created here."""

    @property
    def counts(self) -> bool:
        """Whether the money was returned or is on its way."""
        return self.status not in ("failed", "canceled")


@dataclass(frozen=True)
class DisputeState:
    """One dispute of a payment, with Stripe's status (``needs_response``, ``won``, ``lost``, …)."""

    id: str
    amount_minor: int
    status: str

    @property
    def open(self) -> bool:
        """Whether the money is withdrawn and the outcome unknown; false for an inquiry."""
        return self.status in (
            "needs_response",
            "under_review",
            "appeal_needs_response",
            "appeal_under_review",
        )


@dataclass(frozen=True)
class Reversals:
    """Refunds and disputes of a payment, the newest first."""

    refunds: tuple[RefundState, ...] = ()
    disputes: tuple[DisputeState, ...] = ()

    @property
    def refunded_minor(self) -> int:
        """The total refunded; it falls when a refund fails."""
        return sum(refund.amount_minor for refund in self.refunds if refund.counts)

    @property
    def lost_minor(self) -> int:
        """The total of lost disputes."""
        return sum(dispute.amount_minor for dispute in self.disputes if dispute.status == "lost")

    @property
    def disputed(self) -> bool:
        """Whether a dispute is open."""
        return any(dispute.open for dispute in self.disputes)

    @property
    def reason(self) -> str:
        """The reason of the reversals for the ledger's history: ``refund`` or ``dispute``."""
        return "dispute" if self.lost_minor else "refund"

    def reversed_minor(self, paid_minor: int) -> int:
        """Return how much of a payment was refunded or lost."""
        return min(self.refunded_minor + self.lost_minor, paid_minor)


@dataclass(frozen=True)
class PriceState:
    """A price of the account, with its product."""

    id: str
    active: bool
    """Whether both the price and its product are active."""
    product_name: str
    price_minor: int | None
    currency: str
    cycle: str | None
    """``month`` or ``year``; None for a single payment, ``other`` for another interval."""
    metadata: Mapping[str, str]
    """The product's metadata, overridden by the price's own."""


@dataclass(frozen=True)
class CheckoutState:
    """State of a checkout, or of an automatic payment in the same form."""

    id: str
    status: str
    """``open``, ``complete`` or ``expired``."""
    payment_status: str
    """``paid``, ``unpaid`` or ``no_payment_required``."""
    amount_subtotal: int | None
    amount_total: int | None
    currency: str | None
    payment_intent_id: str | None
    customer_id: str | None
    metadata: Mapping[str, str]
    livemode: bool
    url: str | None
    subscription_id: str | None = None
    discount_minor: int | None = None
    tax_minor: int | None = None
    failure: str | None = None
    """Stripe's code of why an automatic payment failed; else None."""
    reversals: Reversals = Reversals()

    @property
    def paid(self) -> bool:
        """Whether the payment is complete: the condition for granting credits.

        A checkout of zero requires no payment from the moment it opens, and is not complete yet.
        """
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


LIVE_STATUSES = ("active", "trialing", "past_due")
"""Statuses in which a subscription is its owner's plan; ``incomplete`` was never paid."""


@dataclass(frozen=True)
class SubscriptionItem:
    """One recurring item of a subscription."""

    id: str
    price_id: str
    """The price of the next invoice; the invoices show what is paid already."""
    quantity: int
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True)
class SubscriptionState:
    """State of a subscription; ``item`` is the plan's, beside which an operator may add others."""

    id: str
    status: str
    """``trialing``, ``active``, ``past_due``, ``canceled``, ``unpaid``, ``incomplete``, …"""
    customer_id: str
    item: SubscriptionItem
    other_items: tuple[SubscriptionItem, ...]
    anchor: datetime
    """The moment from which its periods are counted; a change of the interval moves it."""
    cancel_at: datetime | None
    cancel_at_period_end: bool
    """Whether ``cancel_at`` is the period's end, whenever that is."""
    trial_end: datetime | None
    created: datetime
    ended_at: datetime | None
    metadata: Mapping[str, str]
    livemode: bool

    @property
    def items(self) -> tuple[SubscriptionItem, ...]:
        """All items, the plan's first."""
        return (self.item, *self.other_items)

    def with_plan_item(self, known_price_ids: Collection[str]) -> SubscriptionState:
        """Return the state with the item that has a known price as the plan's, if there is one."""
        for item in self.items:
            if item.price_id in known_price_ids:
                others = tuple(other for other in self.items if other is not item)
                return replace(self, item=item, other_items=others)
        return self


@dataclass(frozen=True)
class InvoiceLine:
    """One line of an invoice for an item of its subscription: a price for a period."""

    price_id: str
    amount_minor: int
    """Before discounts; of a proration after them, unless the subscription itemizes those."""
    quantity: int
    starts_at: datetime
    ends_at: datetime
    proration: bool
    item_id: str | None = None
    credits_earlier_lines: bool = False
    """Whether Stripe names the lines of an earlier invoice whose unused time it credits."""


@dataclass(frozen=True)
class InvoiceState:
    """State of an invoice."""

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
    due_minor: int
    """The total with what the customer's balance adds or pays; less than the least charge is 0."""
    paid_minor: int
    created: datetime
    next_try_at: datetime | None
    lines: tuple[InvoiceLine, ...]
    """Those of the subscription's items; lines that an operator added by hand are left out."""
    livemode: bool

    @property
    def paid(self) -> bool:
        """Whether it is paid: the condition for granting its credits."""
        return self.status == "paid"


@dataclass(frozen=True)
class SavedCard:
    """A card that a customer saved for later payments."""

    id: str
    brand: str
    """As Stripe writes it: ``visa``, ``mastercard``, ``amex``, …"""
    last4: str
    exp_month: int
    exp_year: int
    """It is valid until the end of this month."""
