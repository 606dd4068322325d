"""Subscriptions at Stripe: prices, checkouts, invoices, changes and the customer portal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe.connection import (
    StripeConnection,
    gateway_errors,
    none_if_missing,
)
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
    InvoiceState,
    PriceState,
    SubscriptionState,
)

if TYPE_CHECKING:
    from stripe import Invoice
    from stripe.params.checkout import SessionCreateParams


def create_price(
    connection: StripeConnection,
    *,
    key: str,
    product: str,
    price_minor: int,
    currency: str,
    cycle: str,
    metadata: Mapping[str, str],
) -> str:
    """Create a recurring price with a product of its own; return the price's id."""
    with gateway_errors():
        price = connection.sdk().v1.prices.create(
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


def list_prices(connection: StripeConnection) -> tuple[PriceState, ...]:
    """Return all prices of the account, each with its product."""
    with gateway_errors():
        page = connection.sdk().v1.prices.list({"limit": 100, "expand": ["data.product"]})
        return tuple(read_price(price) for price in page.auto_paging_iter())


def create_plan_checkout(
    connection: StripeConnection,
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
    metadata = {"purchase_id": purchase_id}
    params: SessionCreateParams = {
        "mode": "subscription",
        "customer": customer_id,
        "line_items": [{"price": price_id, "quantity": quantity}],
        "success_url": success_url,
        "cancel_url": cancel_url,
        "metadata": metadata,
        "subscription_data": {"metadata": metadata},
    }
    if trial_days:
        params["subscription_data"]["trial_period_days"] = trial_days
    return connection.open_purchase_checkout(params, purchase_id, attempt, expires_at)


@none_if_missing
def retrieve_subscription(connection: StripeConnection, subscription_id: str) -> SubscriptionState:
    """Return a subscription, or None where Stripe has none."""
    with gateway_errors():
        return read_subscription(connection.sdk().v1.subscriptions.retrieve(subscription_id))


def list_invoices(connection: StripeConnection, subscription_id: str) -> tuple[InvoiceState, ...]:
    """Return the subscription's finalized invoices, the oldest first."""
    with gateway_errors():
        page = connection.sdk().v1.invoices.list({"subscription": subscription_id, "limit": 100})
        invoices = [
            _read_invoice(connection, invoice)
            for invoice in page.auto_paging_iter()
            if invoice.status not in (None, "draft")
        ]
    invoices.reverse()  # Stripe lists the newest first; two of one second keep their order
    return tuple(sorted(invoices, key=lambda invoice: invoice.created))


def list_invoices_since(
    connection: StripeConnection, created_after: datetime
) -> tuple[InvoiceState, ...]:
    """Return the account's invoices of subscriptions, created since."""
    with gateway_errors():
        page = connection.sdk().v1.invoices.list(created_since(created_after))
        return tuple(
            _read_invoice(connection, invoice)
            for invoice in page.auto_paging_iter()
            if subscription_of(invoice)
        )


def _read_invoice(connection: StripeConnection, invoice: Invoice) -> InvoiceState:
    """Return an invoice or a preview with all its lines; Stripe includes only the first ten.

    The lines of a preview are read by its ``upcoming`` id in the same way: Stripe keeps it for 72
    hours (docs.stripe.com/invoicing/preview).
    """
    if not invoice.lines.has_more:
        return read_invoice(invoice, invoice.lines.data)
    page = connection.sdk().v1.invoices.line_items.list(invoice.id, {"limit": 100})
    return read_invoice(invoice, page.auto_paging_iter())


def payment_of_invoice(connection: StripeConnection, invoice_id: str) -> str | None:
    """Return the payment intent that paid an invoice, or None."""
    with gateway_errors():
        page = connection.sdk().v1.invoice_payments.list(
            {"invoice": invoice_id, "status": "paid", "limit": 10}
        )
        for payment in page.data:
            if payment.payment.payment_intent:
                return id_of(payment.payment.payment_intent)
    return None


def change_subscription(
    connection: StripeConnection,
    subscription: SubscriptionState,
    *,
    price_id: str,
    quantity: int,
    prorate_at: datetime | None,
    key: str,
    goes_on: bool = False,
) -> None:
    """Change the price and quantity of a subscription in one request.

    With ``prorate_at`` the difference is charged now, or the change fails. ``goes_on`` takes back
    a cancellation.
    """
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
    with gateway_errors():
        connection.sdk().v1.subscriptions.update(
            subscription.id,
            params,  # type: ignore[arg-type]  # built in two steps
            {"idempotency_key": f"subscription:{subscription.id}:{key}"},
        )


def preview_change(
    connection: StripeConnection,
    subscription: SubscriptionState,
    *,
    price_id: str,
    quantity: int,
    prorate_at: datetime,
) -> InvoiceState:
    """Return the invoice that ``change_subscription`` would charge for the same arguments."""
    with gateway_errors():
        return _read_invoice(
            connection,
            connection.sdk().v1.invoices.create_preview(
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
            ),
        )


def cancel_at_period_end(
    connection: StripeConnection, subscription_id: str, *, cancel: bool
) -> None:
    """Set or clear the end of a subscription; idempotent, so it needs no key."""
    with gateway_errors():
        connection.sdk().v1.subscriptions.update(subscription_id, {"cancel_at_period_end": cancel})


def create_portal(
    connection: StripeConnection,
    *,
    customer_id: str,
    return_url: str,
    flow: str | None = None,
    subscription_id: str | None = None,
) -> str:
    """Create a portal session; return its address, which works for some minutes."""
    params: dict[str, Any] = {"customer": customer_id, "return_url": return_url}
    if flow is not None:
        params["flow_data"] = {"type": flow}
        if flow != "payment_method_update" and subscription_id:
            params["flow_data"][flow] = {"subscription": subscription_id}
    with gateway_errors():
        return (
            connection.sdk()
            .v1.billing_portal.sessions.create(params)  # type: ignore[arg-type]  # as above
            .url
        )
