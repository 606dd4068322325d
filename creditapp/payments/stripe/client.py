"""Stripe gateway: every request to Stripe that the application makes.

Answers are small frozen records, because Stripe's own objects are neither dicts nor stable between
API versions. A ``GatewayError`` tells whether another try can help, and contains no secret. Amounts
are integers in the currency's minor unit; currencies are lowercase, as Stripe writes them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from creditapp.payments.stripe.connection import gateway_errors, none_if_missing
from creditapp.payments.stripe.events import StripeWebhooks
from creditapp.payments.stripe.parsing import created_since, id_of, metadata_of
from creditapp.payments.stripe.payments import StripePayments
from creditapp.payments.stripe.records import CheckoutCreated, CheckoutRequest, CheckoutState
from creditapp.payments.stripe.subscriptions import StripeSubscriptions

if TYPE_CHECKING:
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams


class StripeGateway(StripePayments, StripeSubscriptions, StripeWebhooks):
    """All requests to Stripe, or to a stand-in at ``api_base``; safe to share between threads."""

    def create_checkout(
        self,
        request: CheckoutRequest,
        *,
        title: str,
        description: str,
        price_minor: int,
        currency: str,
        customer_id: str | None = None,
        price_id: str | None = None,
    ) -> CheckoutCreated:
        """Open a Checkout Session in payment mode.

        The purchase's id is on the session *and* on its payment intent, because Stripe does not
        copy metadata from one to the other.
        """
        params: SessionCreateParams = {
            "mode": "payment",
            "payment_intent_data": {"metadata": request.metadata, "description": title},
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
        if customer_id:
            params["customer"] = customer_id
        return self.open_purchase_checkout(params, request)

    def create_agent_checkout(
        self,
        *,
        request_id: str,
        title: str,
        price_minor: int,
        currency: str,
        page: str,
        expires_at: datetime,
    ) -> CheckoutCreated:
        """Open the Checkout Session of an agent's payment request, once for each request.

        Promotion codes do not apply: the price is that of the signed token.
        """
        metadata = {"payment_request_id": request_id}
        params: SessionCreateParams = {
            "mode": "payment",
            "payment_intent_data": {"metadata": metadata, "description": title},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": currency.lower(),
                        "unit_amount": price_minor,
                        "product_data": {"name": title},
                    },
                }
            ],
            "metadata": metadata,
            "client_reference_id": request_id,
            "success_url": f"{page}?purchase=success",
            "cancel_url": f"{page}?purchase=cancelled",
            "expires_at": int(expires_at.timestamp()),
        }
        if self.automatic_tax:
            params["automatic_tax"] = {"enabled": True}
        return self.open_checkout(params, f"payment-request:{request_id}:checkout")

    @none_if_missing
    def retrieve_checkout(self, checkout_id: str) -> CheckoutState:
        """Return a Checkout Session with its refunds and disputes; None where Stripe has none."""
        session = self.v1.checkout.sessions.retrieve(checkout_id)
        return self._with_reversals(_checkout_state(session))

    @none_if_missing
    def expire_checkout(self, checkout_id: str) -> CheckoutState:
        """Expire a Checkout Session, unless it is complete or expired, and return its state.

        Returns None where Stripe has none.
        """
        import stripe

        sessions = self.v1.checkout.sessions
        session = sessions.retrieve(checkout_id)
        if session.status == "open":
            try:
                session = sessions.expire(checkout_id)
            except stripe.InvalidRequestError:
                # It was paid, or it expired, between the two calls: read it again.
                session = sessions.retrieve(checkout_id)
        return self._with_reversals(_checkout_state(session))

    @gateway_errors()
    def find_checkout_for(
        self, purchase_id: str, *, created_after: datetime
    ) -> CheckoutState | None:
        """Find the purchase's session among those created since; prefer a complete one.

        Stripe's search would be shorter, but finds a payment only about a minute after it is
        made, and this look-up must prevent a second payment.
        """
        since = created_after - timedelta(minutes=5)  # Stripe's clock is not ours
        page = self.v1.checkout.sessions.list(created_since(since))
        sessions = [
            session
            for session in page.auto_paging_iter()
            if metadata_of(session).get("purchase_id") == purchase_id
        ]
        if not sessions:
            return None
        order = ("complete", "open", "expired")
        best = min(sessions, key=lambda session: order.index(str(session.status)))
        return self._with_reversals(_checkout_state(best))

    @gateway_errors()
    def list_checkouts(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Return the Checkout Sessions created since."""
        page = self.v1.checkout.sessions.list(created_since(created_after))
        return tuple(_checkout_state(session) for session in page.auto_paging_iter())

    @gateway_errors()
    def create_customer(self, *, user_id: str, email: str, replaced_id: str = "") -> str:
        """Create the customer of a user, once for each email address; return its id.

        ``replaced_id`` is the customer that Stripe has lost, and is part of the idempotency key: to
        the first key Stripe would repeat the id that it has lost.
        """
        digest = sha256(f"{email}{replaced_id}".encode()).hexdigest()[:16]
        return self.v1.customers.create(
            {"email": email, "metadata": {"user_id": user_id}},
            {"idempotency_key": f"customer:{user_id}:create:{digest}"},
        ).id

    @gateway_errors()
    def update_customer(self, customer_id: str, *, email: str) -> None:
        """Set the customer's email address, to which Stripe sends receipts and invoices."""
        self.v1.customers.update(customer_id, {"email": email})


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
        discount_minor=details.amount_discount if details else None,
        tax_minor=details.amount_tax if details else None,
    )
