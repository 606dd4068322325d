"""What the payments ask of a payment provider, and the records in which it answers.

Amounts are integers of the currency's minor unit; currencies are lowercase as Stripe writes them.
``gateway.py`` speaks to Stripe in these terms and hands all of them out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from creditapp.errors import MalformedRequest
from creditapp.payments.plan_types import PlanGateway
from creditapp.payments.topup_types import TopupGateway

_SECRETS = re.compile(r"\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_*]+")


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


class Gateway(PlanGateway, TopupGateway, Protocol):
    """What the payments need of a payment provider. Methods raise ``GatewayError``."""

    @property
    def livemode(self) -> bool:
        """Whether real money moves."""

    def create_checkout(
        self,
        *,
        purchase_id: str,
        title: str,
        description: str,
        price_minor: int,
        currency: str,
        success_url: str,
        cancel_url: str,
        attempt: int = 1,
        customer_id: str | None = None,
        email: str | None = None,
        price_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
    ) -> CheckoutCreated:
        """Open a checkout for one purchase; the same attempt gives the same checkout."""

    def retrieve_checkout(self, checkout_id: str) -> CheckoutState:
        """Return what is true of a checkout now, with its refunds and disputes."""

    def expire_checkout(self, checkout_id: str) -> CheckoutState:
        """Close a checkout so that it cannot be paid any more; return what is true after."""

    def find_checkout_for(
        self, purchase_id: str, *, created_after: datetime, customer_id: str | None = None
    ) -> CheckoutState | None:
        """Return the checkout that carries ``purchase_id``, when its id never reached us."""

    def list_checkouts(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Return the checkouts opened since a moment, without their refunds and disputes."""

    def list_refunded_payments(self, *, created_after: datetime) -> frozenset[str]:
        """Return the payment intents of which something was given back since a moment."""

    def list_disputed_payments(self, *, created_after: datetime) -> frozenset[str]:
        """Return the payment intents that were disputed since a moment."""

    def create_refund(
        self, *, refund_id: str, payment_intent_id: str, amount_minor: int, reason: str
    ) -> str:
        """Give money back; the same ``refund_id`` within a day gives it once."""

    def list_prices(self) -> tuple[PriceState, ...]:
        """Return every price of the account with its product, archived ones too."""

    def create_customer(self, *, user_id: str, email: str) -> str:
        """Return the id of a user's customer; calling again within a day makes no other."""

    def verify_webhook(self, raw_body: bytes, signature_header: str | None) -> Event:
        """Return the event in a webhook's body; raise ``SignatureInvalid`` if it is not genuine."""
