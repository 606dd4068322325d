"""Subscriptions at Stripe: prices, checkouts, invoices, changes and the customer portal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe.connection import StripeConnection, gateway_errors, none_if_missing
from creditapp.payments.stripe.parsing import (
    created_since,
    id_of,
    read_invoice,
    read_price,
    read_subscription,
    subscription_of,
)
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutRequest,
    InvoiceState,
    PriceState,
    SubscriptionState,
)

if TYPE_CHECKING:
    from stripe import Invoice
    from stripe.params.checkout import SessionCreateParams


class StripeSubscriptions(StripeConnection):
    """Prices, and subscriptions with their checkouts, invoices and portal."""

    @gateway_errors()
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
        """Create a recurring price with a product of its own; return the price's id."""
        return self.v1.prices.create(
            {
                "currency": currency.lower(),
                "unit_amount": price_minor,
                "recurring": {"interval": "year" if cycle == "year" else "month"},
                "product_data": {"name": product},
                "metadata": dict(metadata),
            },
            {"idempotency_key": f"price:{key}"},
        ).id

    @gateway_errors()
    def list_prices(self) -> tuple[PriceState, ...]:
        """Return all prices of the account, each with its product."""
        page = self.v1.prices.list({"limit": 100, "expand": ["data.product"]})
        return tuple(read_price(price) for price in page.auto_paging_iter())

    @none_if_missing
    def retrieve_price(self, price_id: str) -> PriceState:
        """Return a price with its product, or None where Stripe has none."""
        return read_price(self.v1.prices.retrieve(price_id, {"expand": ["product"]}))

    def create_plan_checkout(
        self,
        request: CheckoutRequest,
        *,
        customer_id: str,
        price_id: str,
        quantity: int,
        trial_days: int = 0,
    ) -> CheckoutCreated:
        """Open a Checkout Session in subscription mode.

        The purchase's id is on the session *and* on the subscription, because Stripe does not copy
        metadata from one to the other.
        """
        params: SessionCreateParams = {
            "mode": "subscription",
            "customer": customer_id,
            "line_items": [{"price": price_id, "quantity": quantity}],
            "subscription_data": {"metadata": request.metadata},
        }
        if trial_days:
            params["subscription_data"]["trial_period_days"] = trial_days
        return self.open_purchase_checkout(params, request)

    @none_if_missing
    def retrieve_subscription(self, subscription_id: str) -> SubscriptionState:
        """Return a subscription, or None where Stripe has none."""
        return read_subscription(self.v1.subscriptions.retrieve(subscription_id))

    @gateway_errors()
    def list_invoices(self, subscription_id: str) -> tuple[InvoiceState, ...]:
        """Return the subscription's finalized invoices, the oldest first."""
        page = self.v1.invoices.list({"subscription": subscription_id, "limit": 100})
        invoices = [
            self._read_invoice(invoice)
            for invoice in page.auto_paging_iter()
            if invoice.status not in (None, "draft")
        ]
        invoices.reverse()  # Stripe lists the newest first; two of one second keep their order
        return tuple(sorted(invoices, key=lambda invoice: invoice.created))

    @gateway_errors()
    def list_invoices_since(self, created_after: datetime) -> tuple[InvoiceState, ...]:
        """Return the account's invoices of subscriptions, created since."""
        page = self.v1.invoices.list(created_since(created_after))
        return tuple(
            self._read_invoice(invoice)
            for invoice in page.auto_paging_iter()
            if subscription_of(invoice)
        )

    def _read_invoice(self, invoice: Invoice) -> InvoiceState:
        """Return an invoice or a preview with all its lines; Stripe includes only the first ten.

        The lines of a preview are read by its ``upcoming`` id in the same way: Stripe keeps it for
        72 hours (docs.stripe.com/invoicing/preview).
        """
        if not invoice.lines.has_more:
            return read_invoice(invoice, invoice.lines.data)
        page = self.v1.invoices.line_items.list(invoice.id, {"limit": 100})
        return read_invoice(invoice, page.auto_paging_iter())

    @gateway_errors()
    def payment_of_invoice(self, invoice_id: str) -> str | None:
        """Return the payment intent that paid an invoice, or None."""
        page = self.v1.invoice_payments.list({"invoice": invoice_id, "status": "paid", "limit": 10})
        intents = (id_of(payment.payment.payment_intent) for payment in page.data)
        return next((intent for intent in intents if intent), None)

    @gateway_errors()
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
        """Change the price and quantity of a subscription in one request.

        With ``prorate_at`` the difference is charged now, or the change fails. ``goes_on`` takes
        back a cancellation.
        """
        params = _change(subscription, price_id, quantity, prorate_at)
        if goes_on:
            params |= _go_on(subscription)
        if prorate_at is not None:
            # Otherwise the plan would change although its price was not paid.
            params["payment_behavior"] = "error_if_incomplete"
        key = f"subscription:{subscription.id}:{key}"
        self.v1.subscriptions.update(subscription.id, params, {"idempotency_key": key})

    @gateway_errors()
    def preview_change(
        self, subscription: SubscriptionState, *, price_id: str, quantity: int, prorate_at: datetime
    ) -> InvoiceState:
        """Return the invoice that ``change_subscription`` would charge for the same arguments."""
        preview = self.v1.invoices.create_preview(
            {
                "customer": subscription.customer_id,
                "subscription": subscription.id,
                "subscription_details": _change(subscription, price_id, quantity, prorate_at),
            }
        )
        return self._read_invoice(preview)

    @gateway_errors()
    def cancel_at_period_end(self, subscription: SubscriptionState) -> None:
        """End a subscription with its period; idempotent, so it needs no key."""
        self.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    @gateway_errors()
    def resume(self, subscription: SubscriptionState) -> None:
        """Take back a cancellation; idempotent, so it needs no key."""
        self.v1.subscriptions.update(subscription.id, _go_on(subscription))

    @gateway_errors()
    def create_portal(
        self,
        *,
        customer_id: str,
        return_url: str,
        flow: str | None = None,
        subscription_id: str | None = None,
    ) -> str:
        """Create a portal session; return its address, which works for some minutes."""
        params: Any = {"customer": customer_id, "return_url": return_url}
        if flow is not None:
            params["flow_data"] = {"type": flow}
            if flow != "payment_method_update" and subscription_id:
                params["flow_data"][flow] = {"subscription": subscription_id}
        return self.v1.billing_portal.sessions.create(params).url


def _go_on(subscription: SubscriptionState) -> Any:
    """Return the parameter that takes back a cancellation.

    The boolean takes back only its own; the portal and the dashboard may have set the date. Both
    in one request are refused.
    """
    by_date = subscription.cancel_at is not None and not subscription.cancel_at_period_end
    return {"cancel_at": ""} if by_date else {"cancel_at_period_end": False}


def _change(
    subscription: SubscriptionState, price_id: str, quantity: int, prorate_at: datetime | None
) -> Any:
    """Return the parameters of a change, which an update and a preview share."""
    params: dict[str, Any] = {
        "items": [{"id": subscription.item.id, "price": price_id, "quantity": quantity}],
        "proration_behavior": "none",
    }
    if prorate_at is not None:
        params["proration_behavior"] = "always_invoice"
        params["proration_date"] = int(prorate_at.timestamp())
    return params
