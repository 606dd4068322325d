"""Line items: what a checkout sells, and how many of it."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import price as prices
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, given: dict[str, Any], name: str) -> Json:
    """Return a line item (not stored: it belongs to its checkout)."""
    if bool(given.get("price")) == bool(given.get("price_data")):
        raise Refused(
            f"You must specify either `price` or `price_data` in {name}.",
            code="parameter_missing",
            param=f"{name}[price]",
        )
    if given.get("price"):
        price = books.get("price", given["price"])
        if price is None:
            raise missing_object("price", given["price"], param=f"{name}[price]")
        if not price["active"]:
            raise Refused(
                "The price specified is inactive. This field only accepts active prices.",
                param=f"{name}[price]",
            )
    else:
        price = prices.create(books, given["price_data"], name=f"{name}[price_data]", active=False)
    quantity = given.get("quantity")
    if quantity is None:
        raise Refused(
            f"Quantity is required. Add `quantity` to `{name}`",
            code="parameter_missing",
            param=f"{name}[quantity]",
        )
    sold = books.get("product", price["product"])
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
        "description": sold["name"] if sold else None,
        "discounts": [],
        "metadata": given.get("metadata", {}),
        "price": price,
        "quantity": quantity,
        "taxes": [],
    }


def free_at_first(item: Json) -> Json:
    """Return a line item as a trial sells it: what recurs costs nothing yet."""
    if not item["price"]["recurring"]:
        return item
    return item | {"amount_subtotal": 0, "amount_total": 0}
