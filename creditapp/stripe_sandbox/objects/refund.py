"""Refunds, full or partial, which may fail later."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import currencies
from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, params: dict[str, Any]) -> Json:
    """Refund a charge, or that of a payment intent; by default the whole remaining amount."""
    charge = _charge_to_refund(store, params)
    left = charge["amount"] - charge["amount_refunded"]
    if left <= 0:
        raise StripeAPIError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = params.get("amount", left)
    if amount > left:
        raise StripeAPIError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            code="amount_too_large",
            param="amount",
        )
    currencies.validate(amount, charge["currency"], param="amount")
    refund = store.put(_refund(store, charge, amount, params))
    previous = {name: charge[name] for name in ("amount_refunded", "refunded")}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    store.put(charge)
    event.emit(store, "charge.refunded", charge, previous)
    event.emit(store, "refund.created", refund)
    event.emit(store, "refund.updated", refund, {"destination_details": None})
    return refund


def fail(store: Store, refund: Json) -> Json:
    """Make a refund fail: the shop has the money again, and the refunded total falls."""
    if refund["status"] != "succeeded":
        return refund
    previous = {"status": refund["status"]}
    refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    store.put(refund)
    charge = store.get("charge", refund["charge"])
    if charge is not None:
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        store.put(charge)
    event.emit(store, "refund.failed", refund)
    event.emit(store, "refund.updated", refund, previous)
    return refund


def _charge_to_refund(store: Store, params: dict[str, Any]) -> Json:
    if params.get("charge"):
        charge = store.get("charge", params["charge"])
        if charge is None:
            raise missing_object("charge", params["charge"], param="charge")
        if params.get("payment_intent") not in (None, charge["payment_intent"]):
            raise StripeAPIError(
                f"Charge {charge['id']} does not belong to PaymentIntent"
                f" {params['payment_intent']}.",
                param="charge",
            )
    elif params.get("payment_intent"):
        intent = store.get("payment_intent", params["payment_intent"])
        if intent is None:
            raise missing_object("payment_intent", params["payment_intent"], param="payment_intent")
        charge = store.get("charge", intent["latest_charge"] or "")
        if charge is None:
            raise StripeAPIError(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
            )
    else:
        raise StripeAPIError(
            "One of the following params should be provided for this request:"
            " payment_intent or charge.",
            code="parameter_missing",
        )
    if charge["status"] != "succeeded":
        raise StripeAPIError(f"Charge {charge['id']} has not succeeded and cannot be refunded.")
    if charge["disputed"]:
        raise StripeAPIError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    return charge


def _refund(store: Store, charge: Json, amount: int, params: dict[str, Any]) -> Json:
    return {
        "id": new_id("re_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": store.now,
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
        "metadata": params.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "pending_reason": None,
        "presentment_details": None,
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
