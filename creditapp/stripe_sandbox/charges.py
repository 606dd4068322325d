"""One try to move the money of a payment intent, and what is told of it."""

from __future__ import annotations

from creditapp.stripe_sandbox.cards import (
    AUTHENTICATION_REQUIRED,
    DECLINED,
    NOT_AUTHENTICATED,
    Failure,
)
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Books, Json


def succeed(books: Books, intent: Json, details: Json, email: str) -> Json:
    """Charge a payment intent with success; return it."""
    charge = charges.create(books, intent, status="succeeded", method=details, email=email)
    intent = books.put(
        intent
        | {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "last_payment_error": None,
            "latest_charge": charge["id"],
        }
    )
    event.tell(books, "charge.succeeded", charge)
    event.tell(books, "payment_intent.succeeded", intent)
    return intent


def fail(books: Books, intent: Json, failure: Failure, details: Json, email: str) -> Json:
    """Charge a payment intent in vain; return it, waiting for another way to pay."""
    charge = charges.create(
        books, intent, status="failed", method=details, email=email, failure=failure
    )
    event.tell(books, "charge.failed", charge)
    intent = intent | {"latest_charge": charge["id"]}
    return refuse(books, intent, failure, charge_id=charge["id"])


def refuse(books: Books, intent: Json, failure: Failure, *, charge_id: str | None) -> Json:
    """Note why a payment failed and tell of it; return the intent."""
    error = error_of(failure)
    if charge_id:
        error["charge"] = charge_id
    intent = books.put(
        intent
        | {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_payment_error": error,
        }
    )
    event.tell(books, "payment_intent.payment_failed", intent)
    return intent


def error_of(failure: Failure) -> Json:
    """Return a failure in the shape of Stripe's errors."""
    own_doing = failure is NOT_AUTHENTICATED
    kind = "invalid_request_error" if own_doing else "card_error"
    error: Json = {"code": failure[0], "message": failure[1], "type": kind}
    if failure is DECLINED:
        error["decline_code"] = "generic_decline"
    if failure is AUTHENTICATION_REQUIRED:
        error["decline_code"] = "authentication_required"
    return error
