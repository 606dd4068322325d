"""Payment intents: one payment from the first try to the money."""

from __future__ import annotations

from typing import Any

from creditapp.payments.sandbox.ids import new_id
from creditapp.payments.sandbox.store import Books, Json


def create(books: Books, session: Json) -> Json:
    """Store and return the payment intent of a checkout that someone begins to pay."""
    given: dict[str, Any] = session["_payment_intent_data"]
    intent_id = new_id("pi_3")
    return books.put(
        {
            "id": intent_id,
            "object": "payment_intent",
            "allowed_payment_method_types": None,
            "amount": session["amount_total"],
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": f"{intent_id}_secret_{new_id('')}",
            "confirmation_method": "automatic",
            "created": books.now,
            "currency": session["currency"],
            "customer": session["customer"],
            "customer_account": None,
            "description": given.get("description"),
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "managed_payments": None,
            "metadata": given.get("metadata", {}),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {
                    "installments": None,
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": session["payment_method_types"],
            "payment_record": None,
            "presentment_details": None,
            "processing": None,
            "receipt_email": given.get("receipt_email"),
            "review": None,
            "setup_future_usage": given.get("setup_future_usage"),
            "shipping": None,
            "source": None,
            "statement_descriptor": given.get("statement_descriptor"),
            "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
            "_session": session["id"],
        }
    )
