"""Stripe rail: the payment request is paid by card on a page of Stripe Checkout.

The page is opened when somebody asks for it (``checkout.open_page``), and Stripe's event settles
the payment (``checkout.sync``): no header carries one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails.rail import Payment, PaymentOption, Settled
from creditapp.agents.refusals import PaymentRefused
from creditapp.currencies import currency_of
from creditapp.payments.stripe.client import StripeGateway
from creditapp.services import get

NAME: Final = "stripe"


class StripeRail:
    """Payment by card at Stripe, or in the payment sandbox of a demo."""

    name = NAME

    def __init__(self, site_url: str) -> None:
        self._site_url = site_url

    def payment_option(self, request: PaymentRequest) -> PaymentOption | None:
        """Return the option, unless Stripe charges no such amount."""
        currency = currency_of(request.currency)
        if not currency.least_minor <= request.price_minor <= currency.most_minor:
            return None
        return PaymentOption(
            id=NAME,
            amount=request.price_minor,
            decimals=currency.digits,
            currency=request.currency,
            payment_service=f"{self._site_url}/api/payment-requests/{request.id}/checkout",
        )

    def challenge_headers(self, request: PaymentRequest) -> Mapping[str, str]:
        """Return none: the token names the address of the page."""
        return {}

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return None: no header carries a payment by card."""
        return None

    def settle(self, request: PaymentRequest, headers: Mapping[str, str]) -> Settled:
        """Refuse: there is nothing to settle."""
        raise PaymentRefused("Pay on the page of the payment option.")

    def recover(self, request: PaymentRequest) -> Settled | None:
        """Return None: no request was handed over."""
        return None

    def refund(self, settlement: Settlement, amount_minor: int, refund_id: str) -> bool:
        """Refund a part of the payment at Stripe; return False where Stripe could not send it."""
        gateway = get(StripeGateway)
        for earlier in gateway.reversals_of(settlement.ref).refunds:
            if earlier.refund_id == refund_id:
                return earlier.counts
        gateway.create_refund(
            refund_id=refund_id,
            payment_intent_id=settlement.ref,
            amount_minor=amount_minor,
            reason="requested_by_customer",
        )
        return True
