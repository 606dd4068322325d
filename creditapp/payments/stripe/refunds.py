"""Refunds and disputes at Stripe: create, read and list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from creditapp.payments.stripe.connection import StripeConnection, gateway_errors
from creditapp.payments.stripe.parsing import created_since, id_of, metadata_of
from creditapp.payments.stripe.records import DisputeState, RefundState, Reversals

if TYPE_CHECKING:
    from stripe import Dispute, Refund


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
        of_payment: Any = {"payment_intent": payment_intent_id, "limit": 100}
        refunds = tuple(
            RefundState(
                refund.id,
                refund.amount,
                refund.status or "pending",
                metadata_of(refund).get("refund_id"),
            )
            for refund in services.refunds.list(of_payment).auto_paging_iter()
        )
        disputes = tuple(
            DisputeState(dispute.id, dispute.amount, dispute.status, dispute.reason)
            for dispute in services.disputes.list(of_payment).auto_paging_iter()
        )
    return Reversals(refunds, disputes)


def list_refunded_payments(
    connection: StripeConnection, *, created_after: datetime
) -> frozenset[str]:
    """Return the payments with a refund created since, in any state."""
    with gateway_errors():
        page = connection.sdk().v1.refunds.list(created_since(created_after))
        return _payments_of(page.auto_paging_iter())


def list_disputed_payments(
    connection: StripeConnection, *, created_after: datetime
) -> frozenset[str]:
    """Return the payments with a dispute created since, open or closed."""
    with gateway_errors():
        page = connection.sdk().v1.disputes.list(created_since(created_after))
        return _payments_of(page.auto_paging_iter())


def _payments_of(reversals: Iterable[Refund | Dispute]) -> frozenset[str]:
    intents = (id_of(reversal.payment_intent) for reversal in reversals)
    return frozenset(intent for intent in intents if intent)
