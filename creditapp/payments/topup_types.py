"""What the automatic top-up asks of a payment provider.

Amounts are integers of the currency's minor unit, currencies lowercase as Stripe writes them. A
payment answers in the terms of a checkout, so that one function posts both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from creditapp.payments.gateway_types import CheckoutCreated, CheckoutState


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


class TopupGateway(Protocol):
    """What automatic top-ups need of a payment provider. Methods raise ``GatewayError``."""

    def list_cards(self, customer_id: str) -> tuple[SavedCard, ...]:
        """Return a customer's saved cards, the one that was saved last first."""

    def create_setup_checkout(
        self, *, key: str, customer_id: str, currency: str, success_url: str, cancel_url: str
    ) -> CheckoutCreated:
        """Open a checkout that saves a card and takes no money; the same key gives the same one."""

    def charge_saved_card(
        self,
        *,
        purchase_id: str,
        attempt: int,
        customer_id: str,
        card_id: str,
        amount_minor: int,
        currency: str,
        description: str,
    ) -> str:
        """Charge a saved card while its owner is away; return the payment intent.

        The same attempt within a day charges once. A card that refuses raises a permanent
        ``GatewayError``; its payment is then found by ``find_payment_for``.
        """

    def retrieve_payment(self, payment_intent_id: str) -> CheckoutState:
        """Return what is true of such a payment now, with its refunds and disputes."""

    def find_payment_for(
        self, purchase_id: str, *, customer_id: str, created_after: datetime
    ) -> CheckoutState | None:
        """Return the payment that carries ``purchase_id``, when its id never reached us."""

    def list_topups(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Return such payments made since a moment, without their refunds and disputes."""
