"""API routes of subscriptions, invoices, the customer portal and saved payment methods."""

from __future__ import annotations

from creditapp.stripe_sandbox import (
    invoice_preview,
    off_session,
    subscription_lifecycle,
    subscription_updates,
)
from creditapp.stripe_sandbox import schemas_billing as schemas
from creditapp.stripe_sandbox.objects import payment_method, portal_session
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.routing import (
    Params,
    Route,
    get_or_404,
    list_page,
    nested_page,
    retrieve_handler,
)
from creditapp.stripe_sandbox.store import Json, Store

_SUBSCRIPTIONS = "/v1/subscriptions"
_INVOICES = "/v1/invoices"
_INVOICE_PAYMENTS = "/v1/invoice_payments"


def _list_subscriptions(store: Store, params: Params) -> Json:
    """List by status; without one, list all that are not canceled."""
    status = params.get("status")
    where: dict[str, object] = {}
    if "customer" in params:
        where["customer"] = params["customer"]
    if status == "ended":
        where["status"] = list(subscriptions.ENDED)
    elif status is None:
        where["status"] = [*subscriptions.RUNNING, "incomplete_expired"]
    elif status != "all":
        where["status"] = status
    return list_page(store, "subscription", _SUBSCRIPTIONS, params, where)


def _update_subscription(store: Store, params: Params, subscription_id: str) -> Json:
    return subscription_updates.update(
        store, get_or_404(store, "subscription", subscription_id), params
    )


def _cancel_subscription(store: Store, params: Params, subscription_id: str) -> Json:
    subscription = get_or_404(store, "subscription", subscription_id)
    details = subscription["cancellation_details"] | params.get("cancellation_details", {})
    return subscription_lifecycle.cancel(store, subscription | {"cancellation_details": details})


def _list_invoices(store: Store, params: Params) -> Json:
    where: dict[str, object] = {
        name: params[name] for name in ("customer", "status") if name in params
    }
    if "subscription" in params:
        where["parent.subscription_details.subscription"] = params["subscription"]
    return list_page(store, "invoice", _INVOICES, params, where)


def _list_invoice_lines(store: Store, params: Params, invoice_id: str) -> Json:
    invoice = store.get(invoice_preview.KIND, invoice_id) or get_or_404(
        store, "invoice", invoice_id
    )
    return nested_page(invoice["lines"]["data"], "line_item", invoice["lines"]["url"], params)


def _list_invoice_payments(store: Store, params: Params) -> Json:
    where: dict[str, object] = {
        name: params[name] for name in ("invoice", "status") if name in params
    }
    if "payment_intent" in params.get("payment", {}):
        where["payment.payment_intent"] = params["payment"]["payment_intent"]
    return list_page(store, "invoice_payment", _INVOICE_PAYMENTS, params, where)


def _list_payment_methods(store: Store, params: Params, customer_id: str) -> Json:
    get_or_404(store, "customer", customer_id)
    where: dict[str, object] = {"customer": customer_id}
    if "type" in params:
        where["type"] = params["type"]
    url = f"/v1/customers/{customer_id}/payment_methods"
    return list_page(store, "payment_method", url, params, where)


def _create_portal(store: Store, params: Params) -> Json:
    return portal_session.create(store, params, store.public_url)


def _detach_payment_method(store: Store, _given: Params, method_id: str) -> Json:
    return payment_method.detach(store, get_or_404(store, "payment_method", method_id))


BILLING_ROUTES = (
    Route("GET", _SUBSCRIPTIONS, schemas.SUBSCRIPTION_LIST, _list_subscriptions),
    Route(
        "GET",
        f"{_SUBSCRIPTIONS}/<id>",
        schemas.SUBSCRIPTION_RETRIEVE,
        retrieve_handler("subscription"),
    ),
    Route("POST", f"{_SUBSCRIPTIONS}/<id>", schemas.SUBSCRIPTION_UPDATE, _update_subscription),
    Route("DELETE", f"{_SUBSCRIPTIONS}/<id>", schemas.SUBSCRIPTION_CANCEL, _cancel_subscription),
    Route("GET", _INVOICES, schemas.INVOICE_LIST, _list_invoices),
    Route("POST", f"{_INVOICES}/create_preview", schemas.INVOICE_PREVIEW, invoice_preview.preview),
    Route("GET", f"{_INVOICES}/<id>", schemas.INVOICE_RETRIEVE, retrieve_handler("invoice")),
    Route("GET", f"{_INVOICES}/<id>/lines", schemas.INVOICE_LINE_LIST, _list_invoice_lines),
    Route("GET", _INVOICE_PAYMENTS, schemas.INVOICE_PAYMENT_LIST, _list_invoice_payments),
    Route(
        "GET",
        f"{_INVOICE_PAYMENTS}/<id>",
        schemas.INVOICE_PAYMENT_RETRIEVE,
        retrieve_handler("invoice_payment"),
    ),
    Route("POST", "/v1/billing_portal/sessions", schemas.PORTAL_CREATE, _create_portal),
    Route(
        "GET",
        "/v1/payment_methods/<id>",
        schemas.PAYMENT_METHOD_RETRIEVE,
        retrieve_handler("payment_method"),
    ),
    Route(
        "POST",
        "/v1/payment_methods/<id>/detach",
        schemas.PAYMENT_METHOD_DETACH,
        _detach_payment_method,
    ),
    Route("POST", "/v1/payment_intents", schemas.PAYMENT_INTENT_CREATE, off_session.pay),
    Route(
        "GET",
        "/v1/setup_intents/<id>",
        schemas.SETUP_INTENT_RETRIEVE,
        retrieve_handler("setup_intent"),
    ),
    Route(
        "GET",
        "/v1/customers/<id>/payment_methods",
        schemas.CUSTOMER_PAYMENT_METHOD_LIST,
        _list_payment_methods,
    ),
)
