"""Prices of products."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import currencies
from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import product
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, params: dict[str, Any], *, name: str = "", active: bool = True) -> Json:
    """Store and return a price; ``name`` is the enclosing parameter, used in errors."""
    param_format = f"{name}[%s]" if name else "%s"
    if params.get("product") and params.get("product_data"):
        raise StripeAPIError(
            "You may only specify one of these parameters: product, product_data.",
            code="parameters_exclusive",
            param=param_format % "product",
        )
    if params.get("product"):
        priced_product = store.get("product", params["product"])
        if priced_product is None:
            raise missing_object("product", params["product"], param=param_format % "product")
    elif params.get("product_data"):
        priced_product = product.create(store, params["product_data"], active=active)
    else:
        raise StripeAPIError(
            "You must specify either `product` or `product_data` when creating a price.",
            code="parameter_missing",
            param=param_format % "product",
        )
    if "unit_amount" not in params:
        raise StripeAPIError(
            f"Missing required param: {param_format % 'unit_amount'}.",
            code="parameter_missing",
            param=param_format % "unit_amount",
        )
    currencies.validate(
        params["unit_amount"], params["currency"].lower(), param=param_format % "unit_amount"
    )
    return store.put(_price(store, params, priced_product["id"], active))


def _price(store: Store, params: dict[str, Any], product_id: str, active: bool) -> Json:
    recurring = params.get("recurring")
    return {
        "id": new_id("price_1"),
        "object": "price",
        "active": params.get("active", active),
        "billing_scheme": "per_unit",
        "created": store.now,
        "currency": params["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key"),
        "metadata": params.get("metadata", {}),
        "nickname": params.get("nickname"),
        "product": product_id,
        "recurring": recurring
        and {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": params["unit_amount"],
        "unit_amount_decimal": str(params["unit_amount"]),
    }
