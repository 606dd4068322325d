"""Refunds: money given back, in whole or in part, and now and then not arriving."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, given: dict[str, Any]) -> Json:
    """Refund a charge, or the charge of a payment intent; by default all that is left."""
    charge = _charge_to_refund(books, given)
    left = charge["amount"] - charge["amount_refunded"]
    if left <= 0:
        raise Refused(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = given.get("amount", left)
    if amount > left:
        raise Refused(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            code="amount_too_large",
            param="amount",
        )
    refund = books.put(_refund(books, charge, amount, given))
    previous = {name: charge[name] for name in ("amount_refunded", "refunded")}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    books.put(charge)
    event.tell(books, "charge.refunded", charge, previous)
    event.tell(books, "refund.created", refund)
    event.tell(books, "refund.updated", refund, {"destination_details": None})
    return refund


def fail(books: Books, refund: Json) -> Json:
    """Let a refund come back: the money is the shop's again, the total refunded falls."""
    if refund["status"] != "succeeded":
        return refund
    previous = {"status": refund["status"]}
    refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    books.put(refund)
    charge = books.get("charge", refund["charge"])
    if charge is not None:
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        books.put(charge)
    event.tell(books, "refund.failed", refund)
    event.tell(books, "refund.updated", refund, previous)
    return refund


def _charge_to_refund(books: Books, given: dict[str, Any]) -> Json:
    if given.get("charge"):
        charge = books.get("charge", given["charge"])
        if charge is None:
            raise missing_object("charge", given["charge"], param="charge")
        if given.get("payment_intent") not in (None, charge["payment_intent"]):
            raise Refused(
                f"Charge {charge['id']} does not belong to PaymentIntent"
                f" {given['payment_intent']}.",
                param="charge",
            )
    elif given.get("payment_intent"):
        intent = books.get("payment_intent", given["payment_intent"])
        if intent is None:
            raise missing_object("payment_intent", given["payment_intent"], param="payment_intent")
        charge = books.get("charge", intent["latest_charge"] or "")
        if charge is None:
            raise Refused(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
            )
    else:
        raise Refused(
            "One of the following params should be provided for this request:"
            " payment_intent or charge.",
            code="parameter_missing",
        )
    if charge["status"] != "succeeded":
        raise Refused(f"Charge {charge['id']} has not succeeded and cannot be refunded.")
    if charge["disputed"]:
        raise Refused(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    return charge


def _refund(books: Books, charge: Json, amount: int, given: dict[str, Any]) -> Json:
    return {
        "id": new_id("re_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": books.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": given.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "pending_reason": None,
        "presentment_details": None,
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
