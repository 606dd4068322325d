"""Prices: what one unit of a product costs."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import product
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, given: dict[str, Any], *, name: str = "", active: bool = True) -> Json:
    """Store and return a price; ``name`` is the parameter it came in, for the refusals."""
    outer = f"{name}[%s]" if name else "%s"
    if given.get("product") and given.get("product_data"):
        raise Refused(
            "You may only specify one of these parameters: product, product_data.",
            code="parameters_exclusive",
            param=outer % "product",
        )
    if given.get("product"):
        sold = books.get("product", given["product"])
        if sold is None:
            raise missing_object("product", given["product"], param=outer % "product")
    elif given.get("product_data"):
        sold = product.create(books, given["product_data"], active=active)
    else:
        raise Refused(
            "You must specify either `product` or `product_data` when creating a price.",
            code="parameter_missing",
            param=outer % "product",
        )
    if "unit_amount" not in given:
        raise Refused(
            f"Missing required param: {outer % 'unit_amount'}.",
            code="parameter_missing",
            param=outer % "unit_amount",
        )
    return books.put(_price(books, given, sold["id"], active))


def _price(books: Books, given: dict[str, Any], product_id: str, active: bool) -> Json:
    recurring = given.get("recurring")
    return {
        "id": new_id("price_1"),
        "object": "price",
        "active": given.get("active", active),
        "billing_scheme": "per_unit",
        "created": books.now,
        "currency": given["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": given.get("lookup_key"),
        "metadata": given.get("metadata", {}),
        "nickname": given.get("nickname"),
        "product": product_id,
        "recurring": recurring
        and {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": given["unit_amount"],
        "unit_amount_decimal": str(given["unit_amount"]),
    }
