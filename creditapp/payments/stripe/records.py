"""Records in which the Stripe client answers, and its errors.

Amounts are integers of the currency's minor unit, currencies lowercase as Stripe writes them, times
aware and in UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from creditapp.errors import MalformedRequest

_SECRETS = re.compile(r"\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_*]+")


STRIPE_ID_LENGTH = 255
"""Stripe's ids may be this long (https://docs.stripe.com/upgrades)."""


class GatewayError(Exception):
    """Stripe did not do what was asked.

    ``permanent`` means that asking again cannot help, ``declined`` that the card was not charged.
    """

    def __init__(
        self, message: str, *, permanent: bool, code: str | None = None, declined: bool = False
    ) -> None:
        super().__init__(_SECRETS.sub("[key]", message))
        self.permanent = permanent
        self.code = code
        self.declined = declined


class SignatureInvalid(MalformedRequest):
    """A webhook that Stripe did not sign for us, or signed too long ago."""

    title = "The signature does not match"


@dataclass(frozen=True)
class CheckoutCreated:
    """A new checkout page: where to send the buyer."""

    id: str
    url: str


@dataclass(frozen=True)
class RefundState:
    """One refund of a payment; ``failed`` and ``canceled`` ones gave nothing back."""

    id: str
    amount_minor: int
    status: str
    refund_id: str | None = None
    """Our own number of it, where it was asked for from here."""

    @property
    def counts(self) -> bool:
        """Whether the money went back or is on its way."""
        return self.status not in ("failed", "canceled")


@dataclass(frozen=True)
class DisputeState:
    """One dispute of a payment, with Stripe's status (``needs_response``, ``won``, ``lost``, …)."""

    id: str
    amount_minor: int
    status: str
    reason: str

    @property
    def open(self) -> bool:
        """Whether the money is away and the outcome unknown; a mere inquiry is not."""
        return self.status in (
            "needs_response",
            "under_review",
            "appeal_needs_response",
            "appeal_under_review",
        )


@dataclass(frozen=True)
class PriceState:
    """A price of the account, with the product that it sells."""

    id: str
    active: bool
    """Whether both price and product are on sale."""
    product_name: str
    price_minor: int | None
    currency: str
    cycle: str | None
    """``month`` or ``year``; None for one payment, ``other`` for what is neither."""
    metadata: Mapping[str, str]
    """The product's, and the price's own over it."""


@dataclass(frozen=True)
class CheckoutState:
    """What Stripe says about a checkout now."""

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
    expires_at: datetime
    subscription_id: str | None = None
    discount_minor: int | None = None
    tax_minor: int | None = None
    failure: str | None = None
    """Why a payment that nobody was asked about came to nothing: Stripe's code; else None."""
    refunds: tuple[RefundState, ...] = ()
    disputes: tuple[DisputeState, ...] = ()

    @property
    def paid(self) -> bool:
        """Whether the buyer owes nothing more: the condition for giving the goods.

        A checkout over nothing needs no payment from the moment it opens, and is not yet bought.
        """
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")

    @property
    def refunded_minor(self) -> int:
        """What went back to the buyer in total; it falls when a refund fails."""
        return sum(refund.amount_minor for refund in self.refunds if refund.counts)


@dataclass(frozen=True)
class Event:
    """A verified webhook event: it only names what to look at."""

    id: str
    type: str
    created: datetime
    livemode: bool
    object_id: str
    object_type: str
    metadata: Mapping[str, str]
    data: Mapping[str, Any] = field(repr=False)
    """The event's object as plain JSON."""


def read_event(raw_body: bytes) -> Event:
    """Return the event in a verified body; raise ``SignatureInvalid`` for what is none."""
    try:
        body = json.loads(raw_body)
        data = body["data"]["object"]
        return Event(
            id=body["id"],
            type=body["type"],
            created=datetime.fromtimestamp(body["created"], UTC),
            livemode=body["livemode"],
            object_id=data.get("id") or "",
            object_type=data["object"],
            metadata=data.get("metadata") or {},
            data=data,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SignatureInvalid("The webhook is signed, but it is not a snapshot event.") from None


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


@dataclass(frozen=True)
class SavedCard:
    """A card that a customer left for later payments."""

    id: str
    brand: str
    """Stripe's word: ``visa``, ``mastercard``, ``amex``, …"""
    last4: str
    exp_month: int
    exp_year: int
    """It is good until the end of this month."""
