"""Products."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, params: dict[str, Any], *, active: bool = True) -> Json:
    """Store and return a product; an inline one is inactive, as with Stripe."""
    return store.put(
        {
            "id": params.get("id") or new_id("prod_", 14),
            "object": "product",
            "active": params.get("active", active),
            "created": store.now,
            "default_price": None,
            "description": params.get("description"),
            "images": params.get("images", []),
            "livemode": False,
            "marketing_features": [],
            "metadata": params.get("metadata", {}),
            "name": params["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": params.get("statement_descriptor"),
            "tax_code": params.get("tax_code"),
            "tax_details": None,
            "type": "service",
            "unit_label": params.get("unit_label"),
            "updated": store.now,
            "url": params.get("url"),
        }
    )
