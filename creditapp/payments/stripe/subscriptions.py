"""The part of the door to Stripe that plans go through: prices, subscriptions, invoices, portal.

``StripeGateway`` is made of it and lends it the client and the translation of errors, so that one
module alone imports Stripe's SDK.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe.parsing import (
    id_of,
    read_invoice,
    read_price,
    read_subscription,
    subscription_of,
)
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    DisputeState,
    GatewayError,
    InvoiceState,
    PriceState,
    RefundState,
    Reversals,
    SubscriptionState,
)

if TYPE_CHECKING:
    from stripe import Invoice, StripeClient
    from stripe.params.checkout import SessionCreateParams


class StripePlans(ABC):
    """Plans on Stripe's API; see ``PlanGateway`` for what each method promises."""

    promotion_codes: bool
    """Whether a checkout asks for a promotion code of Stripe's."""
    automatic_tax: bool
    """Whether Stripe Tax adds what the buyer's place asks for."""

    @abstractmethod
    def _stripe(self) -> StripeClient:
        """Return the client."""

    @abstractmethod
    def _errors(self) -> AbstractContextManager[None]:
        """Turn the SDK's errors into ours."""

    def _add_extras(self, params: SessionCreateParams) -> None:
        """Add to a checkout what the operator switched on; credits do not depend on it."""
        if self.promotion_codes:
            params["allow_promotion_codes"] = True
        if self.automatic_tax:
            params["automatic_tax"] = {"enabled": True}
            if "customer" in params:
                # Tax needs an address, which Checkout asks for and then keeps with the customer.
                params["customer_update"] = {"address": "auto"}

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
        """Create a recurring price with a product of its own."""
        with self._errors():
            price = self._stripe().v1.prices.create(
                {
                    "currency": currency.lower(),
                    "unit_amount": price_minor,
                    "recurring": {"interval": "year" if cycle == "year" else "month"},
                    "product_data": {"name": product},
                    "metadata": dict(metadata),
                },
                {"idempotency_key": f"price:{key}"},
            )
        return price.id

    def list_prices(self) -> tuple[PriceState, ...]:
        """Read the account's prices, a hundred at a time, each with its product."""
        with self._errors():
            page = self._stripe().v1.prices.list({"limit": 100, "expand": ["data.product"]})
            return tuple(read_price(each) for each in page.auto_paging_iter())

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
        """Open a Checkout Session in subscription mode.

        The purchase's id is on the session *and* on the subscription, because Stripe does not copy
        metadata from one to the other.
        """
        carried = {"purchase_id": purchase_id}
        params: SessionCreateParams = {
            "mode": "subscription",
            "customer": customer_id,
            "line_items": [{"price": price_id, "quantity": quantity}],
            "success_url": success_url,
            "cancel_url": cancel_url,
            "client_reference_id": purchase_id,
            "metadata": carried,
            "subscription_data": {"metadata": carried},
        }
        if trial_days:
            params["subscription_data"]["trial_period_days"] = trial_days
        if expires_at:
            params["expires_at"] = int(expires_at.timestamp())
        self._add_extras(params)
        with self._errors():
            session = self._stripe().v1.checkout.sessions.create(
                params, {"idempotency_key": f"purchase:{purchase_id}:checkout:{attempt}"}
            )
        if not session.url:
            raise GatewayError("Stripe opened a checkout without a page.", permanent=True)
        return CheckoutCreated(session.id, session.url)

    def retrieve_subscription(self, subscription_id: str) -> SubscriptionState:
        """Read one subscription; this shop's have one item each."""
        with self._errors():
            return read_subscription(self._stripe().v1.subscriptions.retrieve(subscription_id))

    def list_invoices(self, subscription_id: str) -> tuple[InvoiceState, ...]:
        """Read the subscription's invoices, a hundred at a time."""
        with self._errors():
            page = self._stripe().v1.invoices.list({"subscription": subscription_id, "limit": 100})
            found = [
                self._read_invoice(each)
                for each in page.auto_paging_iter()
                if each.status not in (None, "draft")
            ]
        found.reverse()  # Stripe lists the newest first; two of one second keep their order
        return tuple(sorted(found, key=lambda each: each.created))

    def list_invoices_since(self, created_after: datetime) -> tuple[InvoiceState, ...]:
        """Read the account's invoices, a hundred at a time; those of no subscription are left."""
        with self._errors():
            page = self._stripe().v1.invoices.list(
                {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
            )
            return tuple(
                self._read_invoice(each)
                for each in page.auto_paging_iter()
                if subscription_of(each)
            )

    def _read_invoice(self, found: Invoice) -> InvoiceState:
        """Read an invoice or a preview with all its lines: Stripe puts the first ten into it.

        A preview's are read by its ``upcoming`` id in the same way: Stripe keeps it for 72 hours
        (docs.stripe.com/invoicing/preview).
        """
        if not found.lines.has_more:
            return read_invoice(found, found.lines.data)
        page = self._stripe().v1.invoices.line_items.list(found.id, {"limit": 100})
        return read_invoice(found, page.auto_paging_iter())

    def payment_of_invoice(self, invoice_id: str) -> str | None:
        """Read the invoice's payments; the one that was paid counts."""
        with self._errors():
            page = self._stripe().v1.invoice_payments.list(
                {"invoice": invoice_id, "status": "paid", "limit": 10}
            )
            for payment in page.data:
                if payment.payment.payment_intent:
                    return id_of(payment.payment.payment_intent)
        return None

    def invoice_of_payment(self, payment_intent_id: str) -> str | None:
        """Read the payments of invoices that were made with this payment intent."""
        with self._errors():
            page = self._stripe().v1.invoice_payments.list(
                {
                    "payment": {"type": "payment_intent", "payment_intent": payment_intent_id},
                    "limit": 10,
                }
            )
            return next((id_of(payment.invoice) for payment in page.data), None)

    def reversals_of(self, payment_intent_id: str) -> Reversals:
        """Read the payment's refunds and disputes, one list after the other."""
        with self._errors():
            services = self._stripe().v1
            refunds = tuple(
                RefundState(
                    refund.id,
                    refund.amount,
                    refund.status or "pending",
                    refund.metadata.to_dict().get("refund_id") if refund.metadata else None,
                )
                for refund in services.refunds.list(
                    {"payment_intent": payment_intent_id, "limit": 100}
                ).auto_paging_iter()
            )
            disputes = tuple(
                DisputeState(dispute.id, dispute.amount, dispute.status, dispute.reason)
                for dispute in services.disputes.list(
                    {"payment_intent": payment_intent_id, "limit": 100}
                ).auto_paging_iter()
            )
        return Reversals(refunds, disputes)

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
        """Update the subscription's one item, all in one request."""
        params: dict[str, Any] = {
            "items": [{"id": subscription.item_id, "price": price_id, "quantity": quantity}],
            "proration_behavior": "none",
        }
        if goes_on:
            params["cancel_at_period_end"] = False
        if prorate_at is not None:
            params |= {
                "proration_behavior": "always_invoice",
                "proration_date": int(prorate_at.timestamp()),
                # Otherwise the plan would change although its price was not paid.
                "payment_behavior": "error_if_incomplete",
            }
        with self._errors():
            self._stripe().v1.subscriptions.update(
                subscription.id,
                params,  # type: ignore[arg-type]  # built in two steps
                {"idempotency_key": f"subscription:{subscription.id}:{key}"},
            )

    def preview_change(
        self,
        subscription: SubscriptionState,
        *,
        price_id: str,
        quantity: int,
        prorate_at: datetime,
    ) -> InvoiceState:
        """Ask for the invoice of ``change_subscription`` with the same arguments."""
        with self._errors():
            return self._read_invoice(
                self._stripe().v1.invoices.create_preview(
                    {
                        "customer": subscription.customer_id,
                        "subscription": subscription.id,
                        "subscription_details": {
                            "items": [
                                {
                                    "id": subscription.item_id,
                                    "price": price_id,
                                    "quantity": quantity,
                                }
                            ],
                            "proration_behavior": "always_invoice",
                            "proration_date": int(prorate_at.timestamp()),
                        },
                    }
                )
            )

    def cancel_at_period_end(self, subscription_id: str, *, cancel: bool) -> None:
        """Set or clear the mark; doing it twice does it once, so it needs no key."""
        with self._errors():
            self._stripe().v1.subscriptions.update(
                subscription_id, {"cancel_at_period_end": cancel}
            )

    def cancel_now(self, subscription_id: str) -> None:
        """Cancel the subscription; one that is gone already stays gone."""
        with self._errors():
            self._stripe().v1.subscriptions.cancel(subscription_id)

    def create_portal(
        self,
        *,
        customer_id: str,
        return_url: str,
        flow: str | None = None,
        subscription_id: str | None = None,
    ) -> str:
        """Create a portal session; its address works for some minutes."""
        params: dict[str, Any] = {"customer": customer_id, "return_url": return_url}
        if flow is not None:
            params["flow_data"] = {"type": flow}
            if flow != "payment_method_update" and subscription_id:
                params["flow_data"][flow] = {"subscription": subscription_id}
        with self._errors():
            return (
                self._stripe()
                .v1.billing_portal.sessions.create(params)  # type: ignore[arg-type]  # as above
                .url
            )
