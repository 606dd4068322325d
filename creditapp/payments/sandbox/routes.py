"""The API's routes: method, path, parameters, and the verb that answers.

A verb gets the books, the typed parameters, and the ids in the path; it returns the object.
``books.request_id`` and the clock are the transaction's. Adding a route is adding a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from creditapp.payments.sandbox import tables
from creditapp.payments.sandbox.errors import missing_object
from creditapp.payments.sandbox.objects import (
    checkout_session,
    customer,
    price,
    product,
    refund,
)
from creditapp.payments.sandbox.store import Books, Json
from creditapp.payments.sandbox.tables import Table

Given = dict[str, Any]
PAGE_SIZE = 10


@dataclass(frozen=True)
class Route:
    """One line of the API."""

    method: str
    path: str
    table: Table
    verb: Callable[..., Json]


def _retrieve(kind: str) -> Callable[..., Json]:
    def verb(books: Books, _given: Given, object_id: str) -> Json:
        return existing(books, kind, object_id)

    return verb


def _list(kind: str, url: str, *filters: str) -> Callable[..., Json]:
    def verb(books: Books, given: Given) -> Json:
        where: dict[str, object] = {name: given[name] for name in filters if name in given}
        return page_of(books, kind, url, given, where)

    return verb


def existing(books: Books, kind: str, object_id: str) -> Json:
    """Return the object a path names; raise the 404 when there is none."""
    thing = books.get(kind, object_id)
    if thing is None:
        raise missing_object(kind, object_id, param="id", in_path=True)
    return thing


def page_of(books: Books, kind: str, url: str, given: Given, where: dict[str, object]) -> Json:
    """Return one page of objects, the newest first."""
    for cursor in ("starting_after", "ending_before"):
        if cursor in given and books.get(kind, given[cursor]) is None:
            raise missing_object(kind, given[cursor], param=cursor)
    limit = given.get("limit", PAGE_SIZE)
    after = given.get("ending_before")
    found = books.find(
        kind,
        where,
        limit=limit + 1,
        before=given.get("starting_after"),
        after=after,
        created=given.get("created"),
    )
    more = len(found) > limit
    data = (found[1:] if after else found[:limit]) if more else found
    return {"object": "list", "data": data, "has_more": more, "url": url}


def _create_session(books: Books, given: Given) -> Json:
    return checkout_session.create(books, given, books.public_url)


def _update_session(books: Books, given: Given, session_id: str) -> Json:
    return _with_metadata(books, existing(books, "checkout.session", session_id), given)


def _expire_session(books: Books, _given: Given, session_id: str) -> Json:
    return checkout_session.expire(books, existing(books, "checkout.session", session_id))


def _list_line_items(books: Books, given: Given, session_id: str) -> Json:
    session = existing(books, "checkout.session", session_id)
    limit = given.get("limit", PAGE_SIZE)
    return {
        "object": "list",
        "data": session["_line_items"][:limit],
        "has_more": len(session["_line_items"]) > limit,
        "url": f"/v1/checkout/sessions/{session_id}/line_items",
    }


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


def _with_metadata(books: Books, thing: Json, given: Given) -> Json:
    if "metadata" in given:
        thing["metadata"] = customer.merged(thing["metadata"], given["metadata"])
        books.put(thing)
    return thing


_SESSIONS = "/v1/checkout/sessions"
ROUTES = (
    Route("POST", _SESSIONS, tables.SESSION_CREATE, _create_session),
    Route("GET", f"{_SESSIONS}/<id>", tables.SESSION_RETRIEVE, _retrieve("checkout.session")),
    Route("POST", f"{_SESSIONS}/<id>", tables.SESSION_UPDATE, _update_session),
    Route("POST", f"{_SESSIONS}/<id>/expire", tables.SESSION_EXPIRE, _expire_session),
    Route("GET", f"{_SESSIONS}/<id>/line_items", tables.LINE_ITEM_LIST, _list_line_items),
    Route(
        "GET",
        _SESSIONS,
        tables.SESSION_LIST,
        _list("checkout.session", _SESSIONS, "customer", "payment_intent", "status"),
    ),
    Route("POST", "/v1/customers", tables.CUSTOMER_CREATE, customer.create),
    Route("GET", "/v1/customers/<id>", tables.CUSTOMER_RETRIEVE, _retrieve("customer")),
    Route("POST", "/v1/customers/<id>", tables.CUSTOMER_UPDATE, _update_customer),
    Route(
        "GET", "/v1/customers", tables.CUSTOMER_LIST, _list("customer", "/v1/customers", "email")
    ),
    Route(
        "GET",
        "/v1/payment_intents/<id>",
        tables.PAYMENT_INTENT_RETRIEVE,
        _retrieve("payment_intent"),
    ),
    Route(
        "GET",
        "/v1/payment_intents",
        tables.PAYMENT_INTENT_LIST,
        _list("payment_intent", "/v1/payment_intents", "customer"),
    ),
    Route("GET", "/v1/charges/<id>", tables.CHARGE_RETRIEVE, _retrieve("charge")),
    Route(
        "GET",
        "/v1/charges",
        tables.CHARGE_LIST,
        _list("charge", "/v1/charges", "customer", "payment_intent"),
    ),
    Route("POST", "/v1/refunds", tables.REFUND_CREATE, refund.create),
    Route("GET", "/v1/refunds/<id>", tables.REFUND_RETRIEVE, _retrieve("refund")),
    Route("POST", "/v1/refunds/<id>", tables.REFUND_UPDATE, _update_refund),
    Route(
        "GET",
        "/v1/refunds",
        tables.REFUND_LIST,
        _list("refund", "/v1/refunds", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/disputes/<id>", tables.DISPUTE_RETRIEVE, _retrieve("dispute")),
    Route(
        "GET",
        "/v1/disputes",
        tables.DISPUTE_LIST,
        _list("dispute", "/v1/disputes", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/events/<id>", tables.EVENT_RETRIEVE, _retrieve("event")),
    Route("GET", "/v1/events", tables.EVENT_LIST, _list_events),
    Route("POST", "/v1/products", tables.PRODUCT_CREATE, _create_product),
    Route("GET", "/v1/products/<id>", tables.PRODUCT_RETRIEVE, _retrieve("product")),
    Route("GET", "/v1/products", tables.PRODUCT_LIST, _list("product", "/v1/products", "active")),
    Route("POST", "/v1/prices", tables.PRICE_CREATE, _create_price),
    Route("GET", "/v1/prices/<id>", tables.PRICE_RETRIEVE, _retrieve("price")),
    Route(
        "GET",
        "/v1/prices",
        tables.PRICE_LIST,
        _list("price", "/v1/prices", "active", "currency", "product", "type"),
    ),
)
