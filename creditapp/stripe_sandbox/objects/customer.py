"""Customers: who pays."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event, payment_method
from creditapp.stripe_sandbox.store import Books, Json

_PLAIN = ("email", "name", "description", "phone", "address", "business_name", "individual_name")


def create(books: Books, given: dict[str, Any]) -> Json:
    """Store and return a customer, and tell of it."""
    customer_id = new_id("cus_", 14)
    customer = books.put(
        {
            "id": customer_id,
            "object": "customer",
            "address": given.get("address"),
            "balance": 0,
            "business_name": given.get("business_name"),
            "created": books.now,
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": given.get("description"),
            "discount": None,
            "email": given.get("email"),
            "individual_name": given.get("individual_name"),
            "invoice_prefix": customer_id[-8:].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "name": given.get("name"),
            "next_invoice_sequence": 1,
            "phone": given.get("phone"),
            "preferred_locales": given.get("preferred_locales", []),
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }
    )
    event.tell(books, "customer.created", customer)
    return customer


def update(books: Books, customer: Json, given: dict[str, Any]) -> Json:
    """Change a customer and tell of it."""
    changes: Json = {name: given[name] for name in _PLAIN if name in given}
    if "metadata" in given:
        changes["metadata"] = merged(customer["metadata"], given["metadata"])
    settings = given.get("invoice_settings", {})
    if "default_payment_method" in settings:
        param = "invoice_settings[default_payment_method]"
        method = payment_method.of_customer(
            books, settings["default_payment_method"], customer["id"], param=param
        )
        chosen = {"default_payment_method": method["id"]}
        changes["invoice_settings"] = {**customer["invoice_settings"], **chosen}
    previous = {name: customer[name] for name in changes if customer[name] != changes[name]}
    books.put(customer | changes)
    if previous:
        event.tell(books, "customer.updated", customer | changes, previous)
    return customer | changes


def set_default_method(books: Books, customer: Json, method_id: str | None) -> Json:
    """Choose what a customer's invoices are paid with, and tell of it."""
    settings = {**customer["invoice_settings"], "default_payment_method": method_id}
    previous = {"invoice_settings": customer["invoice_settings"]}
    changed = books.put(customer | {"invoice_settings": settings})
    if previous["invoice_settings"] != settings:
        event.tell(books, "customer.updated", changed, previous)
    return changed


def merged(metadata: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """Return metadata after an update: empty texts remove a name, None removes all."""
    if given is None:
        return {}
    return {name: text for name, text in (metadata | given).items() if text != ""}
