"""``expand``: replace ids in a response with the objects they refer to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.store import Json, Store, public

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
"""Fields that hold an id, and the type of the object it refers to."""


def _line_items(_books: Store, session: Json) -> list[Json]:
    items: list[Json] = session["_line_items"]
    return items


def _refunds(store: Store, charge: Json) -> list[Json]:
    return store.find("refund", {"charge": charge["id"]}, limit=10)


def _invoice_payments(store: Store, invoice: Json) -> list[Json]:
    return store.find("invoice_payment", {"invoice": invoice["id"]}, limit=10)


EXPANDABLE_LISTS: dict[tuple[str, str], tuple[str, Callable[[Store, Json], list[Json]]]] = {
    ("checkout.session", "line_items"): ("/v1/checkout/sessions/{id}/line_items", _line_items),
    ("invoice", "payments"): ("/v1/invoice_payments?invoice={id}", _invoice_payments),
    ("charge", "refunds"): ("/v1/charges/{id}/refunds", _refunds),
}
"""Lists that an object includes only when expanded: their URL and query."""


def expand(store: Store, resource: Json, paths: list[str]) -> Json:
    """Return a public copy of an object, or of a list of objects, with ``paths`` expanded."""
    answer = public(resource)
    if answer["object"] == "list":
        answer["data"] = [expand(store, item, _below(paths, "data")) for item in resource["data"]]
        _refuse_others(paths, "data")
        return answer
    for path in paths:
        if path.count(".") >= DEPTH_MAX:
            raise StripeAPIError(
                f"You cannot expand more than {DEPTH_MAX} levels of a property. Property: {path}"
            )
    for name in dict.fromkeys(path.split(".")[0] for path in paths):
        answer[name] = _value(store, resource, name, _below(paths, name))
    return answer


def _value(store: Store, resource: Json, name: str, paths: list[str]) -> Any:
    place = (resource["object"], name)
    if place in EXPANDABLE_LISTS:
        url, find = EXPANDABLE_LISTS[place]
        data = find(store, resource)
        page = {
            "object": "list",
            "data": data,
            "has_more": False,
            "url": url.format(id=resource["id"]),
        }
        return expand(store, page, paths)
    value = public(resource).get(name)
    if isinstance(value, dict) and "object" in value:
        return expand(store, value, paths)
    return _inside(store, resource["object"], name, value, paths)


def _inside(store: Store, kind: str, place: str, value: Any, paths: list[str]) -> Any:
    """Expand inside a nested field of an object, such as ``parent.subscription_details``."""
    if isinstance(value, list) and ((kind, place) in REFERENCES or paths):
        return [_inside(store, kind, place, item, paths) for item in value]
    if (kind, place) in REFERENCES:
        referenced = value and store.get(REFERENCES[kind, place], value)
        return expand(store, referenced, paths) if referenced else value
    if not paths or not isinstance(value, dict):
        raise StripeAPIError(f"This property cannot be expanded ({place}).")
    filled = dict(value)
    for name in dict.fromkeys(path.split(".")[0] for path in paths):
        inner = f"{place}.{name}"
        filled[name] = _inside(store, kind, inner, value.get(name), _below(paths, name))
    return filled


def _below(paths: list[str], name: str) -> list[str]:
    return [path[len(name) + 1 :] for path in paths if path.startswith(name + ".")]


def _refuse_others(paths: list[str], name: str) -> None:
    for path in paths:
        if path.split(".")[0] != name or path == name:
            raise StripeAPIError(
                f"This property cannot be expanded ({path}). You may want to try expanding"
                f" '{name}.{path}' instead."
            )
