"""Payments with a saved card while its owner is away."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import cards, dunning
from creditapp.stripe_sandbox import charges as stripe_sandbox_charges
from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects import payment_intent as intents
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects.checkout_rules import MINIMUM_MINOR
from creditapp.stripe_sandbox.store import Books, Json, public


def pay(books: Books, given: dict[str, Any]) -> Json:
    """Make a payment intent and confirm it with a saved card; return it.

    A card that refuses raises ``Refused`` with 402 and the intent inside, and both are kept.
    """
    customer, method = _checked(books, given)
    intent = intents.create(
        books,
        amount=given["amount"],
        currency=given["currency"].lower(),
        customer=customer["id"],
        method_types=[method["type"]],
        given=given,
    )
    event.tell(books, "payment_intent.created", intent)
    intent |= {"payment_method": method["id"]}
    details = charges.card_details(method["_number"])
    email = customer["email"] or ""
    failure = cards.failure_later(method["_number"])
    if failure is None:
        return stripe_sandbox_charges.succeed(books, intent, details, email)
    intent = stripe_sandbox_charges.fail(books, intent, failure, details, email)
    refused = dunning.declined(failure)
    refused.kept = True
    refused.error |= {
        "charge": intent["latest_charge"],
        "payment_intent": public(intent),
        "payment_method": public(method),
    }
    raise refused


def _checked(books: Books, given: dict[str, Any]) -> tuple[Json, Json]:
    """Return the customer and the card; refuse what the sandbox cannot pay with."""
    for name in ("confirm", "off_session"):
        if not given.get(name):
            raise Refused(
                "This sandbox only makes payment intents that are paid at once with a saved card:"
                f" pass `{name}=true`.",
                param=name,
            )
    for name in ("customer", "payment_method"):
        if name not in given:
            raise Refused(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if given["amount"] < MINIMUM_MINOR:
        raise Refused("Amount must be at least $0.50 usd", code="amount_too_small", param="amount")
    customer = books.get("customer", given["customer"])
    if customer is None:
        raise missing_object("customer", given["customer"], param="customer")
    method = methods.of_customer(
        books, given["payment_method"], customer["id"], param="payment_method"
    )
    return customer, method
