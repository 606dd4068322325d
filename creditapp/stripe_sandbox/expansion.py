"""``expand``: an id in an answer replaced by the object it names, as Stripe does on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.store import Books, Json, public

DEPTH_MAX = 4

REFERENCES = {
    ("checkout.session", "customer"): "customer",
    ("checkout.session", "payment_intent"): "payment_intent",
    ("checkout.session", "invoice"): "invoice",
    ("checkout.session", "setup_intent"): "setup_intent",
    ("checkout.session", "subscription"): "subscription",
    ("setup_intent", "customer"): "customer",
    ("setup_intent", "payment_method"): "payment_method",
    ("payment_intent", "customer"): "customer",
    ("payment_intent", "payment_method"): "payment_method",
    ("payment_intent", "latest_charge"): "charge",
    ("charge", "customer"): "customer",
    ("charge", "payment_intent"): "payment_intent",
    ("refund", "charge"): "charge",
    ("refund", "customer"): "customer",
    ("refund", "payment_intent"): "payment_intent",
    ("dispute", "charge"): "charge",
    ("dispute", "payment_intent"): "payment_intent",
    ("price", "product"): "product",
    ("product", "default_price"): "price",
    ("plan", "product"): "product",
    ("promotion_code", "promotion.coupon"): "coupon",
    ("discount", "promotion_code"): "promotion_code",
    ("discount", "source.coupon"): "coupon",
    ("checkout.session", "discounts.promotion_code"): "promotion_code",
    ("subscription", "discounts"): "discount",
    ("invoice", "discounts"): "discount",
    ("payment_method", "customer"): "customer",
    ("customer", "invoice_settings.default_payment_method"): "payment_method",
    ("subscription", "customer"): "customer",
    ("subscription", "default_payment_method"): "payment_method",
    ("subscription", "latest_invoice"): "invoice",
    ("invoice", "customer"): "customer",
    ("invoice", "parent.subscription_details.subscription"): "subscription",
    ("invoice_payment", "invoice"): "invoice",
    ("invoice_payment", "payment.payment_intent"): "payment_intent",
    ("line_item", "pricing.price_details.price"): "price",
}
"""Fields that hold an id, and the kind of object it names."""


def _line_items(_books: Books, session: Json) -> list[Json]:
    items: list[Json] = session["_line_items"]
    return items


def _refunds(books: Books, charge: Json) -> list[Json]:
    return books.find("refund", {"charge": charge["id"]}, limit=10)


def _invoice_payments(books: Books, invoice: Json) -> list[Json]:
    return books.find("invoice_payment", {"invoice": invoice["id"]}, limit=10)


INCLUDED: dict[tuple[str, str], tuple[str, Callable[[Books, Json], list[Json]]]] = {
    ("checkout.session", "line_items"): ("/v1/checkout/sessions/{id}/line_items", _line_items),
    ("invoice", "payments"): ("/v1/invoice_payments?invoice={id}", _invoice_payments),
    ("charge", "refunds"): ("/v1/charges/{id}/refunds", _refunds),
}
"""Lists that an object has only on request: their address and how they are found."""


def expanded(books: Books, thing: Json, paths: list[str]) -> Json:
    """Return a public copy of an object (or of a list of objects) with ``paths`` filled in."""
    answer = public(thing)
    if answer["object"] == "list":
        answer["data"] = [expanded(books, each, _below(paths, "data")) for each in thing["data"]]
        _refuse_others(paths, "data")
        return answer
    for path in paths:
        if path.count(".") >= DEPTH_MAX:
            raise Refused(
                f"You cannot expand more than {DEPTH_MAX} levels of a property. Property: {path}"
            )
    for name in dict.fromkeys(path.split(".")[0] for path in paths):
        answer[name] = _value(books, thing, name, _below(paths, name))
    return answer


def _value(books: Books, thing: Json, name: str, paths: list[str]) -> Any:
    place = (thing["object"], name)
    if place in INCLUDED:
        url, find = INCLUDED[place]
        data = find(books, thing)
        page = {
            "object": "list",
            "data": data,
            "has_more": False,
            "url": url.format(id=thing["id"]),
        }
        return expanded(books, page, paths)
    shown = public(thing).get(name)
    if isinstance(shown, dict) and "object" in shown:
        return expanded(books, shown, paths)
    return _inside(books, thing["object"], name, shown, paths)


def _inside(books: Books, kind: str, place: str, value: Any, paths: list[str]) -> Any:
    """Expand below a plain part of an object, such as ``parent.subscription_details``."""
    if isinstance(value, list) and ((kind, place) in REFERENCES or paths):
        return [_inside(books, kind, place, each, paths) for each in value]
    if (kind, place) in REFERENCES:
        named = value and books.get(REFERENCES[kind, place], value)
        return expanded(books, named, paths) if named else value
    if not paths or not isinstance(value, dict):
        raise Refused(f"This property cannot be expanded ({place}).")
    filled = dict(value)
    for name in dict.fromkeys(path.split(".")[0] for path in paths):
        inner = f"{place}.{name}"
        filled[name] = _inside(books, kind, inner, value.get(name), _below(paths, name))
    return filled


def _below(paths: list[str], name: str) -> list[str]:
    return [path[len(name) + 1 :] for path in paths if path.startswith(name + ".")]


def _refuse_others(paths: list[str], name: str) -> None:
    for path in paths:
        if path.split(".")[0] != name or path == name:
            raise Refused(
                f"This property cannot be expanded ({path}). You may want to try expanding"
                f" '{name}.{path}' instead."
            )
