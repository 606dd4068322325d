"""Payment intents: one payment through all its attempts."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Json, Store


def of_checkout(store: Store, session: Json) -> Json:
    """Store and return the payment intent of a checkout at its first attempt."""
    params: dict[str, Any] = session["_payment_intent_data"]
    return create(
        store,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        method_types=session["payment_method_types"],
        params=params,
        session_id=session["id"],
    )


def create(
    store: Store,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    method_types: list[str],
    params: dict[str, Any],
    session_id: str | None = None,
) -> Json:
    """Store and return a payment intent; ``params`` are the shop's optional parameters."""
    intent_id = new_id("pi_3")
    return store.put(
        {
            "id": intent_id,
            "object": "payment_intent",
            **_constants(),
            "amount": amount,
            "client_secret": f"{intent_id}_secret_{new_id('')}",
            "created": store.now,
            "currency": currency,
            "customer": customer,
            "description": params.get("description"),
            "metadata": params.get("metadata", {}),
            "payment_method_types": method_types,
            "receipt_email": params.get("receipt_email"),
            "setup_future_usage": params.get("setup_future_usage"),
            "statement_descriptor": params.get("statement_descriptor"),
            "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
            "status": "requires_payment_method",
            "_session": session_id,
        }
    )


def _constants() -> dict[str, Any]:
    """Return the fields that are the same in every new payment intent."""
    return {
        "allowed_payment_method_types": None,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
        "customer_account": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_record": None,
        "presentment_details": None,
        "processing": None,
        "review": None,
        "shipping": None,
        "source": None,
        "transfer_data": None,
        "transfer_group": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
    }
