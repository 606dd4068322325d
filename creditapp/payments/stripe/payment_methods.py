"""The part of the door to Stripe that automatic top-ups go through: saved cards and their charges.

``StripeGateway`` is made of it, as of ``StripePlans``; nothing of Stripe's SDK is imported here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from creditapp.payments.stripe.parsing import id_of
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutState,
    GatewayError,
    SavedCard,
)
from creditapp.payments.stripe.subscriptions import StripePlans

if TYPE_CHECKING:
    from stripe import PaymentIntent

KIND = "topup"
"""How our own payments of this kind are marked; a checkout's payment carries the purchase too."""

_CLOCKS_APART = timedelta(days=1)
_PAYMENT_KEPT_FOR = timedelta(days=365)


class StripeTopups(StripePlans):
    """Automatic top-ups on Stripe's API; see ``TopupGateway`` for what each method promises."""

    def list_cards(self, customer_id: str) -> tuple[SavedCard, ...]:
        """Read the customer's cards; Stripe lists the newest first."""
        with self._errors():
            page = self._stripe().v1.customers.payment_methods.list(
                customer_id, {"type": "card", "limit": 100}
            )
            return tuple(
                SavedCard(
                    each.id,
                    each.card.brand,
                    each.card.last4,
                    each.card.exp_month,
                    each.card.exp_year,
                )
                for each in page.data
                if each.card
            )

    def create_setup_checkout(
        self, *, key: str, customer_id: str, currency: str, success_url: str, cancel_url: str
    ) -> CheckoutCreated:
        """Open a Checkout Session in setup mode."""
        with self._errors():
            session = self._stripe().v1.checkout.sessions.create(
                {
                    "mode": "setup",
                    "customer": customer_id,
                    "currency": currency.lower(),
                    "success_url": success_url,
                    "cancel_url": cancel_url,
                },
                {"idempotency_key": f"topup:{key}:setup"},
            )
        if not session.url:
            raise GatewayError("Stripe opened a checkout without a page.", permanent=True)
        return CheckoutCreated(session.id, session.url)

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
        """Create and confirm a payment intent off session, with the purchase's id on it."""
        with self._errors():
            intent = self._stripe().v1.payment_intents.create(
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
            )
        return intent.id

    def retrieve_payment(self, payment_intent_id: str) -> CheckoutState:
        """Return a payment intent with its refunds and disputes, read one after the other."""
        with self._errors():
            found = _payment_state(self._stripe().v1.payment_intents.retrieve(payment_intent_id))
        return self._with_what_went_back(found)

    def find_payment_for(
        self, purchase_id: str, *, customer_id: str, created_after: datetime
    ) -> CheckoutState | None:
        """Look through the customer's payments; one that succeeded wins.

        As with checkouts, Stripe's search would find a payment only about a minute after it is
        made. Their clock is not ours, so a day more is looked through.
        """
        since = int((created_after - _CLOCKS_APART).timestamp())
        found: list[CheckoutState] = []
        with self._errors():
            page = self._stripe().v1.payment_intents.list({"customer": customer_id, "limit": 100})
            for intent in page.auto_paging_iter():
                if intent.created < since:
                    break
                if intent.metadata and intent.metadata.to_dict().get("purchase_id") == purchase_id:
                    found.append(_payment_state(intent))
        if not found:
            return None
        best = min(found, key=lambda each: (not each.paid, each.status != "complete"))
        return self._with_what_went_back(best)

    def list_topups(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Read the list of payment intents, a hundred at a time; those of checkouts are left."""
        with self._errors():
            page = self._stripe().v1.payment_intents.list(
                {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
            )
            return tuple(
                _payment_state(intent)
                for intent in page.auto_paging_iter()
                if intent.metadata and intent.metadata.to_dict().get("kind") == KIND
            )

    def _with_what_went_back(self, state: CheckoutState) -> CheckoutState:
        if not state.paid:
            return state
        back = self.reversals_of(state.id)
        return replace(state, refunds=back.refunds, disputes=back.disputes)


def _payment_state(intent: PaymentIntent) -> CheckoutState:
    """Return a payment that was tried once and at once: in the words of a checkout."""
    created = datetime.fromtimestamp(intent.created, UTC)
    return CheckoutState(
        id=intent.id,
        status="expired" if intent.status == "canceled" else "complete",
        payment_status="paid" if intent.status == "succeeded" else "unpaid",
        amount_subtotal=intent.amount,
        amount_total=intent.amount,
        currency=intent.currency,
        payment_intent_id=intent.id,
        customer_id=id_of(intent.customer),
        metadata=intent.metadata.to_dict() if intent.metadata else {},
        livemode=intent.livemode,
        url=None,
        expires_at=created + _PAYMENT_KEPT_FOR,
        discount_minor=0,
        tax_minor=0,
        failure=_failure(intent),
    )


def _failure(intent: PaymentIntent) -> str | None:
    if intent.status == "requires_action":
        return "authentication_required"
    if intent.status != "requires_payment_method":
        return None
    error = intent.last_payment_error
    # Stripe leaves out what does not apply: a debit that bounced has no decline code.
    codes = (getattr(error, "code", None), getattr(error, "decline_code", None)) if error else ()
    if "authentication_required" in codes:
        return "authentication_required"
    return codes[0] if codes and codes[0] else "card_declined"
