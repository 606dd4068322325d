"""Attempts to charge a payment intent, and the events they emit."""

from __future__ import annotations

from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.payment_options import (
    AUTHENTICATION_REQUIRED,
    DECLINED,
    NOT_AUTHENTICATED,
    Failure,
)
from creditapp.stripe_sandbox.store import Json, Store


def succeed(store: Store, intent: Json, details: Json, email: str) -> Json:
    """Record a successful charge of a payment intent; return the intent."""
    charge = charges.create(store, intent, status="succeeded", method=details, email=email)
    intent = store.put(
        intent
        | {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "last_payment_error": None,
            "latest_charge": charge["id"],
        }
    )
    event.emit(store, "charge.succeeded", charge)
    event.emit(store, "payment_intent.succeeded", intent)
    return intent


def fail(store: Store, intent: Json, failure: Failure, details: Json, email: str) -> Json:
    """Record a failed charge; return the intent, which again requires a payment method."""
    charge = charges.create(
        store, intent, status="failed", method=details, email=email, failure=failure
    )
    event.emit(store, "charge.failed", charge)
    intent = intent | {"latest_charge": charge["id"]}
    return record_failure(store, intent, failure, charge_id=charge["id"])


def record_failure(store: Store, intent: Json, failure: Failure, *, charge_id: str | None) -> Json:
    """Record why a payment failed and emit the event; return the intent."""
    error = payment_error(failure)
    if charge_id:
        error["charge"] = charge_id
    intent = store.put(
        intent
        | {"status": "requires_payment_method", "payment_method": None, "last_payment_error": error}
    )
    event.emit(store, "payment_intent.payment_failed", intent)
    return intent


def payment_error(failure: Failure) -> Json:
    """Return a failure in the format of Stripe's errors."""
    by_customer = failure is NOT_AUTHENTICATED
    kind = "invalid_request_error" if by_customer else "card_error"
    error: Json = {"code": failure[0], "message": failure[1], "type": kind}
    if failure is DECLINED:
        error["decline_code"] = "generic_decline"
    if failure is AUTHENTICATION_REQUIRED:
        error["decline_code"] = "authentication_required"
    return error
