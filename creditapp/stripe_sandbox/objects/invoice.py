"""Invoices: what a subscription asks for, from the draft to the money."""

from __future__ import annotations

from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event, invoice_totals
from creditapp.stripe_sandbox.store import Books, Json

MINIMUM_MINOR = 50
"""What is less than this is carried to the next invoice in the customer's balance."""


def draft(
    books: Books,
    subscription: Json,
    lines: list[Json],
    *,
    reason: str,
    period: tuple[int, int],
    proration_date: int | None = None,
    from_balance: bool = True,
) -> Json:
    """Return an invoice that nobody has seen yet (not stored).

    The first one of a checkout is paid as the page said: without the customer's balance.
    """
    customer = books.get("customer", subscription["customer"])
    assert customer is not None  # every subscription has one
    invoice_id = new_id("in_1")
    balance = customer["balance"] if from_balance else 0
    sums = invoice_totals.reckoned(books, subscription, lines)
    lines = sums.pop("lines")
    return {
        "id": invoice_id,
        "object": "invoice",
        **_constants(),
        **sums,
        **_due(sums["total"], balance),
        "billing_reason": reason,
        "created": books.now,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "lines": {
            "object": "list",
            "data": [line | {"invoice": invoice_id} for line in lines],
            "has_more": False,
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": subscription["metadata"],
                "subscription": subscription["id"],
                "subscription_proration_date": proration_date,
            },
            "type": "subscription_details",
        },
        "period_end": period[1],
        "period_start": period[0],
        "starting_balance": balance,
        "status": "draft",
        "_due_at": None,
    }


def _due(total: int, balance: int) -> Json:
    """Return what is due of a total; a balance below zero is credit, one above is owed."""
    asked = total + balance
    due = asked if asked >= MINIMUM_MINOR else 0
    return {
        "amount_due": due,
        "amount_remaining": due,
        "ending_balance": asked - due,
    }


def issue(books: Books, invoice: Json) -> Json:
    """Store a draft, finalize it, and settle the customer's balance with it."""
    books.put(invoice | {"ending_balance": None})
    event.tell(books, "invoice.created", invoice | {"ending_balance": None})
    customer = books.get("customer", invoice["customer"])
    assert customer is not None  # a draft was made for it
    number = customer["next_invoice_sequence"]
    previous = {"balance": customer["balance"]}
    balance = customer["balance"] + invoice["ending_balance"] - invoice["starting_balance"]
    customer |= {"next_invoice_sequence": number + 1, "balance": balance}
    books.put(customer)
    if previous["balance"] != balance:
        event.tell(books, "customer.updated", customer, previous)
    invoice = books.put(
        invoice
        | {
            "auto_advance": True,
            "effective_at": books.now,
            "hosted_invoice_url": f"{books.public_url}/invoices/{invoice['id']}",
            "number": f"{customer['invoice_prefix']}-{number:04}",
            "status": "open",
            "status_transitions": {**invoice["status_transitions"], "finalized_at": books.now},
        }
    )
    event.tell(books, "invoice.finalized", invoice)
    return invoice


def paid(books: Books, invoice: Json, amount: int) -> Json:
    """Mark an invoice as paid and tell of it."""
    invoice = books.put(
        invoice
        | {
            "amount_paid": amount,
            "amount_remaining": 0,
            "attempted": True,
            "auto_advance": False,
            "next_payment_attempt": None,
            "status": "paid",
            "status_transitions": {**invoice["status_transitions"], "paid_at": books.now},
            "_due_at": None,
        }
    )
    event.tell(books, "invoice.paid", invoice)
    event.tell(books, "invoice.payment_succeeded", invoice)
    return invoice


def failed(books: Books, invoice: Json, *, again_at: int | None) -> Json:
    """Note that a try to be paid failed, and when the next one is."""
    invoice = books.put(
        invoice | {"attempted": True, "next_payment_attempt": again_at, "_due_at": again_at}
    )
    event.tell(books, "invoice.payment_failed", invoice)
    return invoice


def give_up(books: Books, invoice: Json) -> Json:
    """Write an invoice off after the last try."""
    invoice = books.put(
        _still(invoice)
        | {
            "status": "uncollectible",
            "status_details": {"uncollectible": {"reason": "max_payment_attempts"}},
            "status_transitions": {
                **invoice["status_transitions"],
                "marked_uncollectible_at": books.now,
            },
        }
    )
    event.tell(books, "invoice.marked_uncollectible", invoice)
    return invoice


def stop_collecting(books: Books, subscription: Json) -> None:
    """Leave a cancelled subscription's open invoices open, and try no more."""
    where: dict[str, object] = {
        "parent.subscription_details.subscription": subscription["id"],
        "status": "open",
    }
    for invoice in books.find("invoice", where):
        books.put(_still(invoice))


def _still(invoice: Json) -> Json:
    return invoice | {"auto_advance": False, "next_payment_attempt": None, "_due_at": None}


def _constants() -> Json:
    """Return the fields that are the same in every invoice here."""
    nothing = (
        "account_tax_ids amount_paid_off_stripe application automatically_finalizes_at"
        " custom_fields customer_account customer_address customer_shipping default_payment_method"
        " default_source description due_date effective_at footer from_invoice hosted_invoice_url"
        " invoice_pdf last_finalization_error latest_revision next_payment_attempt number"
        " on_behalf_of receipt_number rendering shipping_cost shipping_details"
        " statement_descriptor status_details test_clock threshold_reason webhooks_delivered_at"
    )
    return {
        **dict.fromkeys(nothing.split()),
        "account_country": "US",
        "account_name": "Sandbox",
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "collection_method": "charge_automatically",
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "issuer": {"type": "self"},
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "total_pretax_credit_amounts": [],
    }
