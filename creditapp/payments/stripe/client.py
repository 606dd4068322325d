"""Stripe gateway: every request to Stripe that the application makes.

Answers are small frozen records, because Stripe's own objects are neither dicts nor stable between
API versions. A ``GatewayError`` tells whether another try can help, and contains no secret. Amounts
are integers in the currency's minor unit; currencies are lowercase, as Stripe writes them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from creditapp.payments.stripe import payment_methods, refunds, subscriptions
from creditapp.payments.stripe.connection import (
    StripeConnection,
    gateway_errors,
    none_if_missing,
)
from creditapp.payments.stripe.parsing import created_since, id_of, metadata_of
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutState,
    Event,
    SignatureInvalid,
    read_event,
)

if TYPE_CHECKING:
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams

SIGNATURE_TOLERANCE_SECONDS = 300
"""How far a webhook's timestamp may differ from our clock, in either direction."""


class StripeGateway(StripeConnection):
    """All requests to Stripe, or to a stand-in at ``api_base``; safe to share between threads.

    Checkouts, customers and webhooks are methods; the other parts are functions of their modules.
    """

    create_refund = refunds.create_refund
    reversals_of = refunds.reversals_of
    list_refunded_payments = refunds.list_refunded_payments
    list_disputed_payments = refunds.list_disputed_payments

    create_price = subscriptions.create_price
    list_prices = subscriptions.list_prices
    create_plan_checkout = subscriptions.create_plan_checkout
    retrieve_subscription = subscriptions.retrieve_subscription
    list_invoices = subscriptions.list_invoices
    list_invoices_since = subscriptions.list_invoices_since
    payment_of_invoice = subscriptions.payment_of_invoice
    change_subscription = subscriptions.change_subscription
    preview_change = subscriptions.preview_change
    cancel_at_period_end = subscriptions.cancel_at_period_end
    create_portal = subscriptions.create_portal

    list_cards = payment_methods.list_cards
    create_setup_checkout = payment_methods.create_setup_checkout
    charge_saved_card = payment_methods.charge_saved_card
    retrieve_payment = payment_methods.retrieve_payment
    find_payment_for = payment_methods.find_payment_for
    list_topups = payment_methods.list_topups

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
        email: str | None = None,
        price_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> CheckoutCreated:
        """Open a Checkout Session in payment mode.

        The purchase's id is on the session *and* on its payment intent, because Stripe does not
        copy metadata from one to the other.
        """
        metadata = {"purchase_id": purchase_id}
        params: SessionCreateParams = {
            "mode": "payment",
            "success_url": success_url,
            "cancel_url": cancel_url,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata, "description": title},
        }
        if price_id:
            params["line_items"] = [{"price": price_id, "quantity": 1}]
        else:
            product = {"name": title} | ({"description": description} if description else {})
            params["line_items"] = [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": currency.lower(),
                        "unit_amount": price_minor,
                        "product_data": product,  # type: ignore[typeddict-item]  # str values only
                    },
                }
            ]
        if email:
            params["customer_email"] = email
        return self.open_purchase_checkout(params, purchase_id, attempt, expires_at)

    @none_if_missing
    def retrieve_checkout(self, checkout_id: str) -> CheckoutState:
        """Return a Checkout Session with its refunds and disputes; None where Stripe has none."""
        with gateway_errors():
            return self._with_reversals(self.sdk().v1.checkout.sessions.retrieve(checkout_id))

    def expire_checkout(self, checkout_id: str) -> CheckoutState:
        """Expire a Checkout Session, unless it is complete or expired, and return its state."""
        import stripe

        with gateway_errors():
            sessions = self.sdk().v1.checkout.sessions
            session = sessions.retrieve(checkout_id)
            if session.status == "open":
                try:
                    session = sessions.expire(checkout_id)
                except stripe.InvalidRequestError:
                    # It was paid, or it expired, between the two calls: read it again.
                    session = sessions.retrieve(checkout_id)
            return self._with_reversals(session)

    def find_checkout_for(
        self, purchase_id: str, *, created_after: datetime
    ) -> CheckoutState | None:
        """Find the purchase's session among those created since; prefer a complete one.

        Stripe's search would be shorter, but finds a payment only about a minute after it is
        made, and this look-up must prevent a second payment.
        """
        since = created_after - timedelta(minutes=5)  # Stripe's clock is not ours
        with gateway_errors():
            page = self.sdk().v1.checkout.sessions.list(created_since(since))
            sessions = [
                session
                for session in page.auto_paging_iter()
                if metadata_of(session).get("purchase_id") == purchase_id
            ]
            if not sessions:
                return None
            order = ("complete", "open", "expired")
            best = min(sessions, key=lambda session: order.index(str(session.status)))
            return self._with_reversals(best)

    def list_checkouts(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Return the Checkout Sessions created since."""
        with gateway_errors():
            page = self.sdk().v1.checkout.sessions.list(created_since(created_after))
            return tuple(_checkout_state(session) for session in page.auto_paging_iter())

    def create_customer(self, *, user_id: str, email: str) -> str:
        """Create the customer of a user, once for each email address; return its id."""
        digest = sha256(email.encode()).hexdigest()[:16]
        with gateway_errors():
            customer = self.sdk().v1.customers.create(
                {"email": email, "metadata": {"user_id": user_id}},
                {"idempotency_key": f"customer:{user_id}:create:{digest}"},
            )
        return customer.id

    def verify_webhook(self, raw_body: bytes, signature_header: str | None) -> Event:
        """Verify the signature over the raw bytes and return the event.

        Raises ``SignatureInvalid``. An empty secret verifies against an empty key, which anyone
        can forge, so without a secret every webhook is refused. Stripe's SDK accepts any future
        timestamp; here it must be within the tolerance too, or a signature could be made to last
        for as long as its forger likes.
        """
        if not self._webhook_secret or not signature_header:
            raise SignatureInvalid("The webhook is not signed, or no secret is set to check it.")
        if not signature_header.isascii():  # the SDK compares strings, and only ASCII ones
            raise SignatureInvalid("The webhook's signature does not match its body.")
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                raw_body, signature_header, self._webhook_secret, SIGNATURE_TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError, IndexError):
            raise SignatureInvalid("The webhook's signature does not match its body.") from None
        if _signed_at(signature_header) > time.time() + SIGNATURE_TOLERANCE_SECONDS:
            raise SignatureInvalid("The webhook was signed in the future.")
        return read_event(raw_body)

    def _with_reversals(self, session: Session) -> CheckoutState:
        state = _checkout_state(session)
        if state.payment_intent_id is None or session.status != "complete":
            return state
        reversals = self.reversals_of(state.payment_intent_id)
        return replace(state, refunds=reversals.refunds, disputes=reversals.disputes)


def _checkout_state(session: Session) -> CheckoutState:
    details = session.total_details
    return CheckoutState(
        id=session.id,
        status=session.status or "open",
        payment_status=session.payment_status,
        amount_subtotal=session.amount_subtotal,
        amount_total=session.amount_total,
        currency=session.currency,
        payment_intent_id=id_of(session.payment_intent),
        customer_id=id_of(session.customer),
        subscription_id=id_of(session.subscription),
        metadata=metadata_of(session),
        livemode=session.livemode,
        url=session.url,
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
        discount_minor=details.amount_discount if details else None,
        tax_minor=details.amount_tax if details else None,
    )


def _signed_at(signature_header: str) -> int:
    """Return the header's first timestamp, the one that the SDK has verified."""
    return int(next(part[2:] for part in signature_header.split(",") if part.startswith("t=")))
