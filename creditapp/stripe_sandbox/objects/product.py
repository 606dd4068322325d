"""Products: what is sold."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, given: dict[str, Any], *, active: bool = True) -> Json:
    """Store and return a product; an inline one is inactive, as Stripe makes it."""
    return books.put(
        {
            "id": given.get("id") or new_id("prod_", 14),
            "object": "product",
            "active": given.get("active", active),
            "created": books.now,
            "default_price": None,
            "description": given.get("description"),
            "images": given.get("images", []),
            "livemode": False,
            "marketing_features": [],
            "metadata": given.get("metadata", {}),
            "name": given["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": given.get("statement_descriptor"),
            "tax_code": given.get("tax_code"),
            "tax_details": None,
            "type": "service",
            "unit_label": given.get("unit_label"),
            "updated": books.now,
            "url": given.get("url"),
        }
    )
