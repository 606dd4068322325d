"""Customers."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event, payment_method
from creditapp.stripe_sandbox.store import Json, Store

_PLAIN = ("email", "name", "description", "phone", "address", "business_name", "individual_name")


def create(store: Store, params: dict[str, Any]) -> Json:
    """Store and return a customer, and emit the event."""
    customer_id = new_id("cus_", 14)
    customer = store.put(
        {
            "id": customer_id,
            "object": "customer",
            "address": params.get("address"),
            "balance": 0,
            "business_name": params.get("business_name"),
            "created": store.now,
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": params.get("description"),
            "discount": None,
            "email": params.get("email"),
            "individual_name": params.get("individual_name"),
            "invoice_prefix": customer_id[-8:].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": params.get("metadata") or {},
            "name": params.get("name"),
            "next_invoice_sequence": 1,
            "phone": params.get("phone"),
            "preferred_locales": params.get("preferred_locales", []),
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }
    )
    event.emit(store, "customer.created", customer)
    return customer


def update(store: Store, customer: Json, params: dict[str, Any]) -> Json:
    """Update a customer and emit the event."""
    changes: Json = {name: params[name] for name in _PLAIN if name in params}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(customer["metadata"], params["metadata"])
    settings = params.get("invoice_settings", {})
    if "default_payment_method" in settings:
        param = "invoice_settings[default_payment_method]"
        method = payment_method.of_customer(
            store, settings["default_payment_method"], customer["id"], param=param
        )
        default = {"default_payment_method": method["id"]}
        changes["invoice_settings"] = {**customer["invoice_settings"], **default}
    previous = {name: customer[name] for name in changes if customer[name] != changes[name]}
    store.put(customer | changes)
    if previous:
        event.emit(store, "customer.updated", customer | changes, previous)
    return customer | changes


def delete(store: Store, customer: Json) -> Json:
    """Delete a customer and emit the event; return what is left of it."""
    event.emit(store, "customer.deleted", customer)
    return store.put({"id": customer["id"], "object": "customer", "deleted": True})


def set_default_method(store: Store, customer: Json, method_id: str | None) -> Json:
    """Set the payment method of a customer's invoices and emit the event."""
    settings = {**customer["invoice_settings"], "default_payment_method": method_id}
    previous = {"invoice_settings": customer["invoice_settings"]}
    changed = store.put(customer | {"invoice_settings": settings})
    if previous["invoice_settings"] != settings:
        event.emit(store, "customer.updated", changed, previous)
    return changed


def merge_metadata(metadata: dict[str, str], params: dict[str, str] | None) -> dict[str, str]:
    """Return updated metadata: an empty text removes its key, None removes all."""
    if params is None:
        return {}
    return {name: text for name, text in (metadata | params).items() if text != ""}
