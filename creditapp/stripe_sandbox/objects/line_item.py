"""Line items of a checkout: a price and a quantity."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import price as prices
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, params: dict[str, Any], name: str) -> Json:
    """Return a line item; it is not stored, as it belongs to its checkout."""
    if bool(params.get("price")) == bool(params.get("price_data")):
        raise StripeAPIError(
            f"You must specify either `price` or `price_data` in {name}.",
            code="parameter_missing",
            param=f"{name}[price]",
        )
    if params.get("price"):
        price = store.get("price", params["price"])
        if price is None:
            raise missing_object("price", params["price"], param=f"{name}[price]")
        if not price["active"]:
            raise StripeAPIError(
                "The price specified is inactive. This field only accepts active prices.",
                param=f"{name}[price]",
            )
    else:
        price = prices.create(store, params["price_data"], name=f"{name}[price_data]", active=False)
    quantity = params.get("quantity")
    if quantity is None:
        raise StripeAPIError(
            f"Quantity is required. Add `quantity` to `{name}`",
            code="parameter_missing",
            param=f"{name}[quantity]",
        )
    product = store.get("product", price["product"])
    total = price["unit_amount"] * quantity
    return {
        "id": new_id("li_1"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": price["currency"],
        "description": product["name"] if product else None,
        "discounts": [],
        "metadata": params.get("metadata", {}),
        "price": price,
        "quantity": quantity,
        "taxes": [],
    }


def with_free_trial(item: Json) -> Json:
    """Return a line item of a trial: a recurring price costs nothing yet."""
    if not item["price"]["recurring"]:
        return item
    return item | {"amount_subtotal": 0, "amount_total": 0}
