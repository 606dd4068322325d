"""Off-session payments: charge a saved card while the customer is absent."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import currencies, dunning, payment_attempts, payment_options
from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.formatting import money
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects import payment_intent as intents
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.store import Json, Store, public


def pay(store: Store, params: dict[str, Any]) -> Json:
    """Create a payment intent and confirm it with a saved card; return it.

    A failing card raises ``StripeAPIError`` with status 402; the intent and charge are kept.
    """
    customer, method = _customer_and_card(store, params)
    intent = intents.create(
        store,
        amount=params["amount"],
        currency=params["currency"].lower(),
        customer=customer["id"],
        method_types=[method["type"]],
        params=params,
    )
    event.emit(store, "payment_intent.created", intent)
    intent |= {"payment_method": method["id"]}
    details = charges.card_details(method["_number"])
    email = customer["email"] or ""
    failure = payment_options.off_session_failure(method["_number"])
    if failure is None:
        return payment_attempts.succeed(store, intent, details, email)
    intent = payment_attempts.fail(store, intent, failure, details, email)
    api_error = dunning.card_error(failure)
    api_error.keep_changes = True
    api_error.body |= {
        "charge": intent["latest_charge"],
        "payment_intent": public(intent),
        "payment_method": public(method),
    }
    raise api_error


def _customer_and_card(store: Store, params: dict[str, Any]) -> tuple[Json, Json]:
    """Return the customer and the card; raise ``StripeAPIError`` for unsupported parameters."""
    for name in ("confirm", "off_session"):
        if not params.get(name):
            raise StripeAPIError(
                "This sandbox only makes payment intents that are paid at once with a saved card:"
                f" pass `{name}=true`.",
                param=name,
            )
    for name in ("customer", "payment_method"):
        if name not in params:
            raise StripeAPIError(
                f"Missing required param: {name}.", code="parameter_missing", param=name
            )
    currency = params["currency"].lower()
    currencies.validate(params["amount"], currency, param="amount")
    if params["amount"] < currencies.minimum(currency):
        raise StripeAPIError(
            f"Amount must be at least {money(currencies.minimum(currency), currency)}",
            code="amount_too_small",
            param="amount",
        )
    customer = store.get("customer", params["customer"])
    if customer is None:
        raise missing_object("customer", params["customer"], param="customer")
    method = methods.of_customer(
        store, params["payment_method"], customer["id"], param="payment_method"
    )
    return customer, method
