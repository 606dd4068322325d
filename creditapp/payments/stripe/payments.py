"""Saved cards and payments at Stripe: charge, read, refund and list them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe.connection import StripeConnection, gateway_errors, none_if_missing
from creditapp.payments.stripe.parsing import created_since, id_of, metadata_of
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutState,
    DisputeState,
    RefundState,
    Reversals,
    SavedCard,
)

if TYPE_CHECKING:
    from stripe import Dispute, PaymentIntent, Refund
    from stripe.params.checkout import SessionCreateParams

KIND = "topup"
"""The metadata that marks these payments; a checkout's payment carries a purchase id too."""

_CLOCK_SKEW = timedelta(days=1)


class StripePayments(StripeConnection):
    """Saved cards, the payments with them, and refunds and disputes of any payment."""

    @gateway_errors()
    def list_cards(self, customer_id: str) -> tuple[SavedCard, ...]:
        """Return the customer's cards, the newest first."""
        page = self.v1.customers.payment_methods.list(customer_id, {"type": "card", "limit": 100})
        cards = ((method.id, method.card) for method in page.data)
        return tuple(
            SavedCard(card_id, card.brand, card.last4, card.exp_month, card.exp_year)
            for card_id, card in cards
            if card
        )

    def create_setup_checkout(
        self, *, key: str, customer_id: str, currency: str, success_url: str, cancel_url: str
    ) -> CheckoutCreated:
        """Open a Checkout Session in setup mode, which saves a card and charges nothing."""
        params: SessionCreateParams = {
            "mode": "setup",
            "customer": customer_id,
            "currency": currency.lower(),
            "success_url": success_url,
            "cancel_url": cancel_url,
        }
        return self.open_checkout(params, f"topup:{key}:setup")

    @gateway_errors()
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
        """Charge a card off session; return the payment intent's id. It names the purchase."""
        return self.v1.payment_intents.create(
            {
                "amount": amount_minor,
                "currency": currency.lower(),
                "customer": customer_id,
                "payment_method": card_id,
                "off_session": True,
                "confirm": True,
                "description": description,
                "metadata": {"purchase_id": purchase_id, "kind": KIND},
            },
            {"idempotency_key": f"purchase:{purchase_id}:topup:{attempt}"},
        ).id

    @none_if_missing
    def retrieve_payment(self, payment_intent_id: str) -> CheckoutState:
        """Return a payment with its refunds and disputes; None where Stripe has none."""
        intent = self.v1.payment_intents.retrieve(payment_intent_id)
        return self._with_reversals(_payment_state(intent))

    @none_if_missing
    def find_payment_for(
        self, purchase_id: str, *, customer_id: str, created_after: datetime
    ) -> CheckoutState | None:
        """Find the purchase's payment among the customer's; prefer one that succeeded.

        Returns None for a customer that Stripe does not have, too.

        As with checkouts, Stripe's search would find a payment only about a minute after it is
        made. Stripe's clock is not ours, so the look-up begins a day earlier.
        """
        since = int((created_after - _CLOCK_SKEW).timestamp())
        page = self.v1.payment_intents.list({"customer": customer_id, "limit": 100})
        recent = takewhile(lambda intent: intent.created >= since, page.auto_paging_iter())
        payments = [
            _payment_state(intent)
            for intent in recent
            if metadata_of(intent).get("purchase_id") == purchase_id
        ]
        if not payments:
            return None
        best = min(payments, key=lambda state: (not state.paid, state.status != "complete"))
        return self._with_reversals(best)

    @gateway_errors()
    def list_topups(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Return the payments of automatic top-ups created since."""
        page = self.v1.payment_intents.list(created_since(created_after))
        return tuple(
            _payment_state(intent)
            for intent in page.auto_paging_iter()
            if metadata_of(intent).get("kind") == KIND
        )

    @gateway_errors()
    def create_refund(
        self, *, refund_id: str, payment_intent_id: str, amount_minor: int, reason: str
    ) -> str:
        """Create a refund with our id of it in its metadata; return Stripe's id."""
        return self.v1.refunds.create(
            {
                "payment_intent": payment_intent_id,
                "amount": amount_minor,
                "reason": reason,
                "metadata": {"refund_id": refund_id},
            },
            {"idempotency_key": f"refund:{refund_id}"},
        ).id

    @gateway_errors()
    def reversals_of(self, payment_intent_id: str) -> Reversals:
        """Return all refunds and disputes of a payment, the newest first."""
        of_payment: Any = {"payment_intent": payment_intent_id, "limit": 100}
        refunds = tuple(
            RefundState(
                refund.id,
                refund.amount,
                refund.status or "pending",
                metadata_of(refund).get("refund_id"),
            )
            for refund in self.v1.refunds.list(of_payment).auto_paging_iter()
        )
        disputes = tuple(
            DisputeState(dispute.id, dispute.amount, dispute.status)
            for dispute in self.v1.disputes.list(of_payment).auto_paging_iter()
        )
        return Reversals(refunds, disputes)

    @gateway_errors()
    def list_refunded_payments(self, *, created_after: datetime) -> frozenset[str]:
        """Return the payments with a refund created since, in any state."""
        page = self.v1.refunds.list(created_since(created_after))
        return _payments_of(page.auto_paging_iter())

    @gateway_errors()
    def list_disputed_payments(self, *, created_after: datetime) -> frozenset[str]:
        """Return the payments with a dispute created since, open or closed."""
        page = self.v1.disputes.list(created_since(created_after))
        return _payments_of(page.auto_paging_iter())

    def _with_reversals(self, state: CheckoutState) -> CheckoutState:
        if not state.paid or state.payment_intent_id is None:
            return state
        return replace(state, reversals=self.reversals_of(state.payment_intent_id))


def _payments_of(reversals: Iterable[Refund | Dispute]) -> frozenset[str]:
    intents = (id_of(reversal.payment_intent) for reversal in reversals)
    return frozenset(intent for intent in intents if intent)


def _payment_state(intent: PaymentIntent) -> CheckoutState:
    """Return the payment in the form of a checkout that was paid or failed at once."""
    return CheckoutState(
        id=intent.id,
        status="expired" if intent.status == "canceled" else "complete",
        payment_status="paid" if intent.status == "succeeded" else "unpaid",
        amount_subtotal=intent.amount,
        amount_total=intent.amount,
        currency=intent.currency,
        payment_intent_id=intent.id,
        customer_id=id_of(intent.customer),
        metadata=metadata_of(intent),
        livemode=intent.livemode,
        url=None,
        discount_minor=0,
        tax_minor=0,
        failure=_failure(intent),
    )


def _failure(intent: PaymentIntent) -> str | None:
    if intent.status == "requires_action":
        return "authentication_required"
    if intent.status != "requires_payment_method":
        return None
    # Stripe omits what does not apply: a bounced debit has no decline code.
    codes = [getattr(intent.last_payment_error, name, None) for name in ("code", "decline_code")]
    if "authentication_required" in codes:
        return "authentication_required"
    return codes[0] or "card_declined"
