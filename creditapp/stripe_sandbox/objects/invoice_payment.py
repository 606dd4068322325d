"""Invoice payments: the link between an invoice and its payment intent."""

from __future__ import annotations

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Json, Store


def create(store: Store, invoice: Json, intent: Json) -> Json:
    """Store and return the link between an invoice and a payment intent."""
    return store.put(
        {
            "id": new_id("inpay_1"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": store.now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def of_invoice(store: Store, invoice: Json) -> Json | None:
    """Return an invoice's payment, or None."""
    payments = store.find("invoice_payment", {"invoice": invoice["id"]}, limit=1)
    return payments[0] if payments else None


def mark_paid(store: Store, payment: Json) -> Json:
    """Mark an invoice payment as paid and emit the event."""
    payment = store.put(
        payment
        | {
            "amount_paid": payment["amount_requested"],
            "status": "paid",
            "status_transitions": {"canceled_at": None, "paid_at": store.now},
        }
    )
    event.emit(store, "invoice_payment.paid", payment)
    return payment


def cancel(store: Store, payment: Json) -> Json:
    """Mark an invoice payment as canceled."""
    return store.put(
        payment
        | {"status": "canceled", "status_transitions": {"canceled_at": store.now, "paid_at": None}}
    )
