"""Disputes: a buyer's bank withdraws a payment, and the shop wins or loses."""

from __future__ import annotations

from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Json, Store

_EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure"
    " cancellation_rebuttal customer_communication customer_email_address customer_name"
    " customer_purchase_ip customer_signature duplicate_charge_documentation"
    " duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy"
    " refund_policy_disclosure refund_refusal_explanation service_date service_documentation"
    " shipping_address shipping_carrier shipping_date shipping_documentation"
    " shipping_tracking_number uncategorized_file uncategorized_text"
).split()


def open_for(store: Store, charge: Json) -> Json:
    """Dispute the full amount of a charge; the funds are withdrawn until the dispute is won."""
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise StripeAPIError(f"Charge {charge['id']} cannot be disputed.")
    dispute = store.put(_dispute(store, charge))
    store.put(charge | {"disputed": True})
    event.emit(store, "charge.dispute.created", dispute)
    event.emit(store, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def close(store: Store, dispute: Json, *, won: bool) -> Json:
    """Close a dispute; winning it reinstates the funds."""
    if dispute["status"] in ("won", "lost"):
        return dispute
    previous = {"status": dispute["status"]}
    dispute |= {"status": "won" if won else "lost", "is_charge_refundable": False}
    store.put(dispute)
    event.emit(store, "charge.dispute.closed", dispute, previous)
    if won:
        event.emit(store, "charge.dispute.funds_reinstated", dispute)
    return dispute


def _dispute(store: Store, charge: Json) -> Json:
    return {
        "id": new_id("du_1"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": store.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"appeal": None, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": store.now + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": "fraudulent",
        "status": "needs_response",
    }
