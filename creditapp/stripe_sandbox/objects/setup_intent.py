"""Setup intents: saving a card for later payments, without one now."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, customer: str | None, given: dict[str, Any]) -> Json:
    """Store and return a setup intent, and tell of it; ``given`` is ``setup_intent_data``."""
    intent_id = new_id("seti_1")
    nothing = (
        "allowed_payment_method_types application automatic_payment_methods cancellation_reason"
        " customer_account excluded_payment_method_types flow_directions last_setup_error"
        " latest_attempt managed_payments mandate next_action on_behalf_of payment_method"
        " payment_method_configuration_details single_use_mandate"
    )
    intent = books.put(
        {
            **dict.fromkeys(nothing.split()),
            "id": intent_id,
            "object": "setup_intent",
            "client_secret": f"{intent_id}_secret_{new_id('')}",
            "created": books.now,
            "customer": customer,
            "description": given.get("description"),
            "livemode": False,
            "metadata": given.get("metadata", {}),
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
    event.tell(books, "setup_intent.created", intent)
    return intent


def succeed(books: Books, intent_id: str, method: Json, customer: str | None) -> None:
    """Note which card was saved and for whom, and tell of it."""
    changes = {
        "customer": customer,
        "last_setup_error": None,
        "payment_method": method["id"],
        "status": "succeeded",
    }
    intent = books.put(_known(books, intent_id) | changes)
    event.tell(books, "setup_intent.succeeded", intent)


def fail(books: Books, intent_id: str, error: Json) -> None:
    """Note why a card was not saved, and tell of it."""
    intent = books.put(_known(books, intent_id) | {"last_setup_error": error})
    event.tell(books, "setup_intent.setup_failed", intent)


def _known(books: Books, intent_id: str) -> Json:
    intent = books.get("setup_intent", intent_id)
    assert intent is not None  # it was made with its checkout
    return intent
