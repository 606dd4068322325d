"""Setup intents: save a card for later payments without charging it."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, customer: str | None, params: dict[str, Any]) -> Json:
    """Store and return a setup intent, and emit the event."""
    intent_id = new_id("seti_1")
    null_fields = (
        "allowed_payment_method_types application automatic_payment_methods cancellation_reason"
        " customer_account excluded_payment_method_types flow_directions last_setup_error"
        " latest_attempt managed_payments mandate next_action on_behalf_of payment_method"
        " payment_method_configuration_details single_use_mandate"
    )
    intent = store.put(
        {
            **dict.fromkeys(null_fields.split()),
            "id": intent_id,
            "object": "setup_intent",
            "client_secret": f"{intent_id}_secret_{new_id('')}",
            "created": store.now,
            "customer": customer,
            "description": params.get("description"),
            "livemode": False,
            "metadata": params.get("metadata", {}),
            "payment_method_options": {
                "card": {
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": ["card"],
            "status": "requires_payment_method",
            "usage": "off_session",
        }
    )
    event.emit(store, "setup_intent.created", intent)
    return intent


def succeed(store: Store, intent_id: str, method: Json, customer: str | None) -> None:
    """Record the saved card and its customer, and emit the event."""
    changes = {
        "customer": customer,
        "last_setup_error": None,
        "payment_method": method["id"],
        "status": "succeeded",
    }
    intent = store.put(_get(store, intent_id) | changes)
    event.emit(store, "setup_intent.succeeded", intent)


def fail(store: Store, intent_id: str, error: Json) -> None:
    """Record why saving a card failed, and emit the event."""
    intent = store.put(_get(store, intent_id) | {"last_setup_error": error})
    event.emit(store, "setup_intent.setup_failed", intent)


def _get(store: Store, intent_id: str) -> Json:
    intent = store.get("setup_intent", intent_id)
    assert intent is not None  # it was created with its checkout
    return intent
