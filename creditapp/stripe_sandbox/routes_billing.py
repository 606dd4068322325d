"""The API's routes around subscriptions, their invoices, and saved ways to pay."""

from __future__ import annotations

from creditapp.stripe_sandbox import (
    invoice_preview,
    off_session,
    subscription_starts,
    subscription_updates,
)
from creditapp.stripe_sandbox import tables_billing as tables
from creditapp.stripe_sandbox.objects import payment_method, portal_session
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.routing import (
    Given,
    Route,
    existing,
    page_of,
    page_within,
    retrieving,
)
from creditapp.stripe_sandbox.store import Books, Json

_SUBSCRIPTIONS = "/v1/subscriptions"
_INVOICES = "/v1/invoices"
_INVOICE_PAYMENTS = "/v1/invoice_payments"


def _list_subscriptions(books: Books, given: Given) -> Json:
    """List by state; without one, all that are not canceled."""
    status = given.get("status")
    where: dict[str, object] = {}
    if "customer" in given:
        where["customer"] = given["customer"]
    if status == "ended":
        where["status"] = list(subscriptions.ENDED)
    elif status is None:
        where["status"] = [*subscriptions.RUNNING, "incomplete_expired"]
    elif status != "all":
        where["status"] = status
    return page_of(books, "subscription", _SUBSCRIPTIONS, given, where)


def _update_subscription(books: Books, given: Given, subscription_id: str) -> Json:
    return subscription_updates.update(
        books, existing(books, "subscription", subscription_id), given
    )


def _cancel_subscription(books: Books, given: Given, subscription_id: str) -> Json:
    subscription = existing(books, "subscription", subscription_id)
    details = subscription["cancellation_details"] | given.get("cancellation_details", {})
    return subscription_starts.cancel(books, subscription | {"cancellation_details": details})


def _list_invoices(books: Books, given: Given) -> Json:
    where: dict[str, object] = {
        name: given[name] for name in ("customer", "status") if name in given
    }
    if "subscription" in given:
        where["parent.subscription_details.subscription"] = given["subscription"]
    return page_of(books, "invoice", _INVOICES, given, where)


def _list_invoice_lines(books: Books, given: Given, invoice_id: str) -> Json:
    found = books.get(invoice_preview.KIND, invoice_id) or existing(books, "invoice", invoice_id)
    return page_within(found["lines"]["data"], "line_item", found["lines"]["url"], given)


def _list_invoice_payments(books: Books, given: Given) -> Json:
    where: dict[str, object] = {
        name: given[name] for name in ("invoice", "status") if name in given
    }
    if "payment_intent" in given.get("payment", {}):
        where["payment.payment_intent"] = given["payment"]["payment_intent"]
    return page_of(books, "invoice_payment", _INVOICE_PAYMENTS, given, where)


def _list_payment_methods(books: Books, given: Given, customer_id: str) -> Json:
    existing(books, "customer", customer_id)
    where: dict[str, object] = {"customer": customer_id}
    if "type" in given:
        where["type"] = given["type"]
    url = f"/v1/customers/{customer_id}/payment_methods"
    return page_of(books, "payment_method", url, given, where)


def _create_portal(books: Books, given: Given) -> Json:
    return portal_session.create(books, given, books.public_url)


def _detach_payment_method(books: Books, _given: Given, method_id: str) -> Json:
    return payment_method.detach(books, existing(books, "payment_method", method_id))


BILLING_ROUTES = (
    Route("GET", _SUBSCRIPTIONS, tables.SUBSCRIPTION_LIST, _list_subscriptions),
    Route(
        "GET",
        f"{_SUBSCRIPTIONS}/<id>",
        tables.SUBSCRIPTION_RETRIEVE,
        retrieving("subscription"),
    ),
    Route("POST", f"{_SUBSCRIPTIONS}/<id>", tables.SUBSCRIPTION_UPDATE, _update_subscription),
    Route("DELETE", f"{_SUBSCRIPTIONS}/<id>", tables.SUBSCRIPTION_CANCEL, _cancel_subscription),
    Route("GET", _INVOICES, tables.INVOICE_LIST, _list_invoices),
    Route("POST", f"{_INVOICES}/create_preview", tables.INVOICE_PREVIEW, invoice_preview.preview),
    Route("GET", f"{_INVOICES}/<id>", tables.INVOICE_RETRIEVE, retrieving("invoice")),
    Route("GET", f"{_INVOICES}/<id>/lines", tables.INVOICE_LINE_LIST, _list_invoice_lines),
    Route("GET", _INVOICE_PAYMENTS, tables.INVOICE_PAYMENT_LIST, _list_invoice_payments),
    Route(
        "GET",
        f"{_INVOICE_PAYMENTS}/<id>",
        tables.INVOICE_PAYMENT_RETRIEVE,
        retrieving("invoice_payment"),
    ),
    Route("POST", "/v1/billing_portal/sessions", tables.PORTAL_CREATE, _create_portal),
    Route(
        "GET",
        "/v1/payment_methods/<id>",
        tables.PAYMENT_METHOD_RETRIEVE,
        retrieving("payment_method"),
    ),
    Route(
        "POST",
        "/v1/payment_methods/<id>/detach",
        tables.PAYMENT_METHOD_DETACH,
        _detach_payment_method,
    ),
    Route("POST", "/v1/payment_intents", tables.PAYMENT_INTENT_CREATE, off_session.pay),
    Route(
        "GET", "/v1/setup_intents/<id>", tables.SETUP_INTENT_RETRIEVE, retrieving("setup_intent")
    ),
    Route(
        "GET",
        "/v1/customers/<id>/payment_methods",
        tables.CUSTOMER_PAYMENT_METHOD_LIST,
        _list_payment_methods,
    ),
)
