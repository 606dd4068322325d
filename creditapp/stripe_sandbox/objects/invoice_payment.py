"""Invoice payments: which payment intent pays which invoice."""

from __future__ import annotations

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.store import Books, Json


def create(books: Books, invoice: Json, intent: Json) -> Json:
    """Store and return the link between an invoice and the payment that is to pay it."""
    return books.put(
        {
            "id": new_id("inpay_1"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": books.now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def of_invoice(books: Books, invoice: Json) -> Json | None:
    """Return an invoice's payment, if there is one."""
    found = books.find("invoice_payment", {"invoice": invoice["id"]}, limit=1)
    return found[0] if found else None


def paid(books: Books, payment: Json) -> Json:
    """Note that the money has come, and tell of it."""
    payment = books.put(
        payment
        | {
            "amount_paid": payment["amount_requested"],
            "status": "paid",
            "status_transitions": {"canceled_at": None, "paid_at": books.now},
        }
    )
    event.tell(books, "invoice_payment.paid", payment)
    return payment


def cancel(books: Books, payment: Json) -> Json:
    """Note that the money will not come any more."""
    return books.put(
        payment
        | {
            "status": "canceled",
            "status_transitions": {"canceled_at": books.now, "paid_at": None},
        }
    )
