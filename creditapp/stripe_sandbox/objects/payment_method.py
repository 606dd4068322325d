"""Payment methods: a card or bank account, attached to a customer when saved."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects.charge import NO_ADDRESS
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, kind: str, number: str, email: str) -> Json:
    """Store and return a payment method without a customer."""
    return store.put(
        {
            "id": new_id("pm_1"),
            "object": "payment_method",
            "allow_redisplay": "limited",
            "billing_details": {
                "address": dict(NO_ADDRESS),
                "email": email,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "created": store.now,
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "radar_options": {},
            "type": kind,
            kind: _card(number) if kind == "card" else _account(),
            "_number": number,
        }
    )


def attach(store: Store, method: Json, customer: Json) -> Json:
    """Attach a payment method to a customer."""
    method = store.put(method | {"customer": customer["id"]})
    event.emit(store, "payment_method.attached", method)
    return method


def detach(store: Store, method: Json) -> Json:
    """Detach a payment method from its customer, so that it cannot be charged."""
    if method["customer"] is None:
        raise StripeAPIError(
            "The payment method you provided is not attached to a customer so detachment is"
            " impossible.",
            param="payment_method",
        )
    previous = {"customer": method["customer"]}
    method = store.put(method | {"customer": None})
    event.emit(store, "payment_method.detached", method, previous)
    return method


def of_customer(store: Store, method_id: str, customer_id: str, *, param: str) -> Json:
    """Return a customer's saved payment method; raise ``StripeAPIError`` for any other."""
    method = store.get("payment_method", method_id)
    if method is None or method["customer"] != customer_id:
        raise missing_object("PaymentMethod", method_id, param=param)
    return method


def _card(number: str) -> dict[str, Any]:
    return {
        "brand": "visa",
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": "US",
        "display_brand": "visa",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"sandbox{number[-4:]}",
        "funding": "credit",
        "generated_from": None,
        "last4": number[-4:],
        "networks": {"available": ["visa"], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _account() -> dict[str, Any]:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "SANDBOX BANK",
        "financial_connections_account": None,
        "fingerprint": "sandboxbank",
        "last4": "6789",
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": None,
    }
