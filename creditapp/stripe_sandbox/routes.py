"""The API's routes: method, path, parameters, and the verb that answers.

A verb gets the books, the typed parameters, and the ids in the path; it returns the object.
``books.request_id`` and the clock are the transaction's. Adding a route is adding a line.
"""

from __future__ import annotations

from creditapp.stripe_sandbox import tables
from creditapp.stripe_sandbox.objects import checkout_session, customer, price, product, refund
from creditapp.stripe_sandbox.routes_billing import BILLING_ROUTES
from creditapp.stripe_sandbox.routes_promotion import PROMOTION_ROUTES
from creditapp.stripe_sandbox.routing import (
    Given,
    Route,
    existing,
    listing,
    page_of,
    page_within,
    retrieving,
)
from creditapp.stripe_sandbox.store import Books, Json

__all__ = ["ROUTES", "Route"]


def _create_session(books: Books, given: Given) -> Json:
    return checkout_session.create(books, given, books.public_url)


def _update_session(books: Books, given: Given, session_id: str) -> Json:
    return _with_metadata(books, existing(books, "checkout.session", session_id), given)


def _expire_session(books: Books, _given: Given, session_id: str) -> Json:
    return checkout_session.expire(books, existing(books, "checkout.session", session_id))


def _list_line_items(books: Books, given: Given, session_id: str) -> Json:
    session = existing(books, "checkout.session", session_id)
    url = f"{_SESSIONS}/{session_id}/line_items"
    return page_within(session["_line_items"], "item", url, given)


def _update_customer(books: Books, given: Given, customer_id: str) -> Json:
    return customer.update(books, existing(books, "customer", customer_id), given)


def _create_product(books: Books, given: Given) -> Json:
    return product.create(books, given)


def _create_price(books: Books, given: Given) -> Json:
    return price.create(books, given)


def _update_refund(books: Books, given: Given, refund_id: str) -> Json:
    return _with_metadata(books, existing(books, "refund", refund_id), given)


def _list_events(books: Books, given: Given) -> Json:
    wanted = given.get("types") or given.get("type")
    return page_of(books, "event", "/v1/events", given, {"type": wanted} if wanted else {})


def _list_prices(books: Books, given: Given) -> Json:
    filters = ("active", "currency", "product", "type")
    where = {name: given[name] for name in filters if name in given}
    if "lookup_keys" in given:
        where["lookup_key"] = given["lookup_keys"]
    return page_of(books, "price", "/v1/prices", given, where)


def _with_metadata(books: Books, thing: Json, given: Given) -> Json:
    if "metadata" in given:
        thing["metadata"] = customer.merged(thing["metadata"], given["metadata"])
        books.put(thing)
    return thing


_SESSIONS = "/v1/checkout/sessions"
ROUTES = (
    Route("POST", _SESSIONS, tables.SESSION_CREATE, _create_session),
    Route("GET", f"{_SESSIONS}/<id>", tables.SESSION_RETRIEVE, retrieving("checkout.session")),
    Route("POST", f"{_SESSIONS}/<id>", tables.SESSION_UPDATE, _update_session),
    Route("POST", f"{_SESSIONS}/<id>/expire", tables.SESSION_EXPIRE, _expire_session),
    Route("GET", f"{_SESSIONS}/<id>/line_items", tables.LINE_ITEM_LIST, _list_line_items),
    Route(
        "GET",
        _SESSIONS,
        tables.SESSION_LIST,
        listing(
            "checkout.session", _SESSIONS, "customer", "payment_intent", "status", "subscription"
        ),
    ),
    Route("POST", "/v1/customers", tables.CUSTOMER_CREATE, customer.create),
    Route("GET", "/v1/customers/<id>", tables.CUSTOMER_RETRIEVE, retrieving("customer")),
    Route("POST", "/v1/customers/<id>", tables.CUSTOMER_UPDATE, _update_customer),
    Route(
        "GET", "/v1/customers", tables.CUSTOMER_LIST, listing("customer", "/v1/customers", "email")
    ),
    Route(
        "GET",
        "/v1/payment_intents/<id>",
        tables.PAYMENT_INTENT_RETRIEVE,
        retrieving("payment_intent"),
    ),
    Route(
        "GET",
        "/v1/payment_intents",
        tables.PAYMENT_INTENT_LIST,
        listing("payment_intent", "/v1/payment_intents", "customer"),
    ),
    Route("GET", "/v1/charges/<id>", tables.CHARGE_RETRIEVE, retrieving("charge")),
    Route(
        "GET",
        "/v1/charges",
        tables.CHARGE_LIST,
        listing("charge", "/v1/charges", "customer", "payment_intent"),
    ),
    Route("POST", "/v1/refunds", tables.REFUND_CREATE, refund.create),
    Route("GET", "/v1/refunds/<id>", tables.REFUND_RETRIEVE, retrieving("refund")),
    Route("POST", "/v1/refunds/<id>", tables.REFUND_UPDATE, _update_refund),
    Route(
        "GET",
        "/v1/refunds",
        tables.REFUND_LIST,
        listing("refund", "/v1/refunds", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/disputes/<id>", tables.DISPUTE_RETRIEVE, retrieving("dispute")),
    Route(
        "GET",
        "/v1/disputes",
        tables.DISPUTE_LIST,
        listing("dispute", "/v1/disputes", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/events/<id>", tables.EVENT_RETRIEVE, retrieving("event")),
    Route("GET", "/v1/events", tables.EVENT_LIST, _list_events),
    Route("POST", "/v1/products", tables.PRODUCT_CREATE, _create_product),
    Route("GET", "/v1/products/<id>", tables.PRODUCT_RETRIEVE, retrieving("product")),
    Route("GET", "/v1/products", tables.PRODUCT_LIST, listing("product", "/v1/products", "active")),
    Route("POST", "/v1/prices", tables.PRICE_CREATE, _create_price),
    Route("GET", "/v1/prices/<id>", tables.PRICE_RETRIEVE, retrieving("price")),
    Route("GET", "/v1/prices", tables.PRICE_LIST, _list_prices),
    *BILLING_ROUTES,
    *PROMOTION_ROUTES,
)
