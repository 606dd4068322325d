"""Refunds and disputes at Stripe: create, read and list."""

from __future__ import annotations

from datetime import datetime

from creditapp.payments.stripe.connection import StripeConnection, gateway_errors
from creditapp.payments.stripe.parsing import id_of
from creditapp.payments.stripe.records import DisputeState, RefundState, Reversals


def create_refund(
    connection: StripeConnection,
    *,
    refund_id: str,
    payment_intent_id: str,
    amount_minor: int,
    reason: str,
) -> str:
    """Create a refund with our id of it in its metadata; return Stripe's id."""
    with gateway_errors():
        refund = connection.sdk().v1.refunds.create(
            {
                "payment_intent": payment_intent_id,
                "amount": amount_minor,
                "reason": reason,
                "metadata": {"refund_id": refund_id},
            },
            {"idempotency_key": f"refund:{refund_id}"},
        )
    return refund.id


def reversals_of(connection: StripeConnection, payment_intent_id: str) -> Reversals:
    """Return all refunds and disputes of a payment, the newest first."""
    with gateway_errors():
        services = connection.sdk().v1
        refunds = tuple(
            RefundState(
                refund.id,
                refund.amount,
                refund.status or "pending",
                refund.metadata.to_dict().get("refund_id") if refund.metadata else None,
            )
            for refund in services.refunds.list(
                {"payment_intent": payment_intent_id, "limit": 100}
            ).auto_paging_iter()
        )
        disputes = tuple(
            DisputeState(dispute.id, dispute.amount, dispute.status, dispute.reason)
            for dispute in services.disputes.list(
                {"payment_intent": payment_intent_id, "limit": 100}
            ).auto_paging_iter()
        )
    return Reversals(refunds, disputes)


def list_refunded_payments(
    connection: StripeConnection, *, created_after: datetime
) -> frozenset[str]:
    """Return the payments with a refund created since, in any state."""
    with gateway_errors():
        page = connection.sdk().v1.refunds.list(
            {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
        )
        intents = (id_of(refund.payment_intent) for refund in page.auto_paging_iter())
        return frozenset(intent for intent in intents if intent)


def list_disputed_payments(
    connection: StripeConnection, *, created_after: datetime
) -> frozenset[str]:
    """Return the payments with a dispute created since, open or closed."""
    with gateway_errors():
        page = connection.sdk().v1.disputes.list(
            {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
        )
        intents = (id_of(dispute.payment_intent) for dispute in page.auto_paging_iter())
        return frozenset(intent for intent in intents if intent)
