"""API routes: method, path, parameter schema and handler.

A handler receives the store, the typed parameters and the ids in the path, and returns the object.
To add a route, add a line to ``ROUTES``.
"""

from __future__ import annotations

from creditapp.stripe_sandbox import schemas, subscription_lifecycle
from creditapp.stripe_sandbox.objects import (
    checkout_session,
    customer,
    payment_method,
    price,
    product,
    refund,
)
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.routes_billing import BILLING_ROUTES
from creditapp.stripe_sandbox.routes_promotion import PROMOTION_ROUTES
from creditapp.stripe_sandbox.routing import (
    Params,
    Route,
    get_or_404,
    list_handler,
    list_page,
    nested_page,
    retrieve_handler,
)
from creditapp.stripe_sandbox.store import Json, Store

__all__ = ["ROUTES", "Route"]


def _create_session(store: Store, params: Params) -> Json:
    return checkout_session.create(store, params, store.public_url)


def _update_session(store: Store, params: Params, session_id: str) -> Json:
    return _with_metadata(store, get_or_404(store, "checkout.session", session_id), params)


def _expire_session(store: Store, _given: Params, session_id: str) -> Json:
    return checkout_session.expire(store, get_or_404(store, "checkout.session", session_id))


def _list_line_items(store: Store, params: Params, session_id: str) -> Json:
    session = get_or_404(store, "checkout.session", session_id)
    url = f"{_SESSIONS}/{session_id}/line_items"
    return nested_page(session["_line_items"], "item", url, params)


def _update_customer(store: Store, params: Params, customer_id: str) -> Json:
    return customer.update(store, get_or_404(store, "customer", customer_id), params)


def _retrieve_customer(store: Store, _given: Params, customer_id: str) -> Json:
    """Return a customer; of a deleted one only the id is left."""
    return store.get("customer", customer_id, deleted=True) or get_or_404(
        store, "customer", customer_id
    )


def _delete_customer(store: Store, _given: Params, customer_id: str) -> Json:
    """Delete a customer, cancel its subscriptions at once and detach its payment methods."""
    existing = get_or_404(store, "customer", customer_id)
    where: dict[str, object] = {"customer": customer_id}
    running = {**where, "status": list(subscriptions.RUNNING)}
    for subscription in store.find("subscription", running):
        subscription_lifecycle.cancel(store, subscription)
    for method in store.find("payment_method", where):
        payment_method.detach(store, method)
    return customer.delete(store, existing)


def _create_product(store: Store, params: Params) -> Json:
    return product.create(store, params)


def _create_price(store: Store, params: Params) -> Json:
    return price.create(store, params)


def _update_refund(store: Store, params: Params, refund_id: str) -> Json:
    return _with_metadata(store, get_or_404(store, "refund", refund_id), params)


def _list_events(store: Store, params: Params) -> Json:
    types = params.get("types") or params.get("type")
    return list_page(store, "event", "/v1/events", params, {"type": types} if types else {})


def _list_prices(store: Store, params: Params) -> Json:
    filters = ("active", "currency", "product", "type")
    where = {name: params[name] for name in filters if name in params}
    if "lookup_keys" in params:
        where["lookup_key"] = params["lookup_keys"]
    return list_page(store, "price", "/v1/prices", params, where)


def _with_metadata(store: Store, resource: Json, params: Params) -> Json:
    if "metadata" in params:
        resource["metadata"] = customer.merge_metadata(resource["metadata"], params["metadata"])
        store.put(resource)
    return resource


_SESSIONS = "/v1/checkout/sessions"
ROUTES = (
    Route("POST", _SESSIONS, schemas.SESSION_CREATE, _create_session),
    Route(
        "GET", f"{_SESSIONS}/<id>", schemas.SESSION_RETRIEVE, retrieve_handler("checkout.session")
    ),
    Route("POST", f"{_SESSIONS}/<id>", schemas.SESSION_UPDATE, _update_session),
    Route("POST", f"{_SESSIONS}/<id>/expire", schemas.SESSION_EXPIRE, _expire_session),
    Route("GET", f"{_SESSIONS}/<id>/line_items", schemas.LINE_ITEM_LIST, _list_line_items),
    Route(
        "GET",
        _SESSIONS,
        schemas.SESSION_LIST,
        list_handler(
            "checkout.session", _SESSIONS, "customer", "payment_intent", "status", "subscription"
        ),
    ),
    Route("POST", "/v1/customers", schemas.CUSTOMER_CREATE, customer.create),
    Route("GET", "/v1/customers/<id>", schemas.CUSTOMER_RETRIEVE, _retrieve_customer),
    Route("DELETE", "/v1/customers/<id>", {}, _delete_customer),
    Route("POST", "/v1/customers/<id>", schemas.CUSTOMER_UPDATE, _update_customer),
    Route(
        "GET",
        "/v1/customers",
        schemas.CUSTOMER_LIST,
        list_handler("customer", "/v1/customers", "email"),
    ),
    Route(
        "GET",
        "/v1/payment_intents/<id>",
        schemas.PAYMENT_INTENT_RETRIEVE,
        retrieve_handler("payment_intent"),
    ),
    Route(
        "GET",
        "/v1/payment_intents",
        schemas.PAYMENT_INTENT_LIST,
        list_handler("payment_intent", "/v1/payment_intents", "customer"),
    ),
    Route("GET", "/v1/charges/<id>", schemas.CHARGE_RETRIEVE, retrieve_handler("charge")),
    Route(
        "GET",
        "/v1/charges",
        schemas.CHARGE_LIST,
        list_handler("charge", "/v1/charges", "customer", "payment_intent"),
    ),
    Route("POST", "/v1/refunds", schemas.REFUND_CREATE, refund.create),
    Route("GET", "/v1/refunds/<id>", schemas.REFUND_RETRIEVE, retrieve_handler("refund")),
    Route("POST", "/v1/refunds/<id>", schemas.REFUND_UPDATE, _update_refund),
    Route(
        "GET",
        "/v1/refunds",
        schemas.REFUND_LIST,
        list_handler("refund", "/v1/refunds", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/disputes/<id>", schemas.DISPUTE_RETRIEVE, retrieve_handler("dispute")),
    Route(
        "GET",
        "/v1/disputes",
        schemas.DISPUTE_LIST,
        list_handler("dispute", "/v1/disputes", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/events/<id>", schemas.EVENT_RETRIEVE, retrieve_handler("event")),
    Route("GET", "/v1/events", schemas.EVENT_LIST, _list_events),
    Route("POST", "/v1/products", schemas.PRODUCT_CREATE, _create_product),
    Route("GET", "/v1/products/<id>", schemas.PRODUCT_RETRIEVE, retrieve_handler("product")),
    Route(
        "GET",
        "/v1/products",
        schemas.PRODUCT_LIST,
        list_handler("product", "/v1/products", "active"),
    ),
    Route("POST", "/v1/prices", schemas.PRICE_CREATE, _create_price),
    Route("GET", "/v1/prices/<id>", schemas.PRICE_RETRIEVE, retrieve_handler("price")),
    Route("GET", "/v1/prices", schemas.PRICE_LIST, _list_prices),
    *BILLING_ROUTES,
    *PROMOTION_ROUTES,
)
