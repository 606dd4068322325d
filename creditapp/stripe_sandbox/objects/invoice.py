"""Invoices of subscriptions, from draft to paid."""

from __future__ import annotations

from creditapp.stripe_sandbox import currencies
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.objects import event, invoice_totals
from creditapp.stripe_sandbox.store import Json, Store


def draft(
    store: Store,
    subscription: Json,
    lines: list[Json],
    *,
    reason: str,
    period: tuple[int, int],
    proration_date: int | None = None,
    from_balance: bool = True,
) -> Json:
    """Return a draft invoice, which is not stored yet.

    ``from_balance`` is False for a checkout's first invoice: the page showed the full amount.
    """
    customer = store.get("customer", subscription["customer"])
    assert customer is not None  # every subscription has a customer
    invoice_id = new_id("in_1")
    balance = customer["balance"] if from_balance else 0
    sums = invoice_totals.compute(store, subscription, lines)
    lines = sums.pop("lines")
    return {
        "id": invoice_id,
        "object": "invoice",
        **_constants(),
        **sums,
        **_due(sums["total"], balance, subscription["currency"]),
        "billing_reason": reason,
        "created": store.now,
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


def _due(total: int, balance: int, currency: str) -> Json:
    """Return the amount due of a total. A negative balance is credit, a positive one is owed.

    An amount below the currency's minimum is carried to the next invoice in the balance.
    """
    payable = total + balance
    due = payable if payable >= currencies.minimum(currency) else 0
    return {"amount_due": due, "amount_remaining": due, "ending_balance": payable - due}


def issue(store: Store, invoice: Json) -> Json:
    """Store and finalize a draft, and apply the customer's balance."""
    store.put(invoice | {"ending_balance": None})
    event.emit(store, "invoice.created", invoice | {"ending_balance": None})
    customer = store.get("customer", invoice["customer"])
    assert customer is not None  # the draft was created for this customer
    number = customer["next_invoice_sequence"]
    previous = {"balance": customer["balance"]}
    balance = customer["balance"] + invoice["ending_balance"] - invoice["starting_balance"]
    customer |= {"next_invoice_sequence": number + 1, "balance": balance}
    store.put(customer)
    if previous["balance"] != balance:
        event.emit(store, "customer.updated", customer, previous)
    invoice = store.put(
        invoice
        | {
            "auto_advance": True,
            "effective_at": store.now,
            "hosted_invoice_url": f"{store.public_url}/invoices/{invoice['id']}",
            "number": f"{customer['invoice_prefix']}-{number:04}",
            "status": "open",
            "status_transitions": {**invoice["status_transitions"], "finalized_at": store.now},
        }
    )
    event.emit(store, "invoice.finalized", invoice)
    return invoice


def mark_paid(store: Store, invoice: Json, amount: int) -> Json:
    """Mark an invoice as paid and emit the events."""
    invoice = store.put(
        invoice
        | {
            "amount_paid": amount,
            "amount_remaining": 0,
            "attempted": True,
            "auto_advance": False,
            "next_payment_attempt": None,
            "status": "paid",
            "status_transitions": {**invoice["status_transitions"], "paid_at": store.now},
            "_due_at": None,
        }
    )
    event.emit(store, "invoice.paid", invoice)
    event.emit(store, "invoice.payment_succeeded", invoice)
    return invoice


def mark_failed(store: Store, invoice: Json, *, retry_at: int | None) -> Json:
    """Record a failed payment attempt and the time of the next one."""
    invoice = store.put(
        invoice | {"attempted": True, "next_payment_attempt": retry_at, "_due_at": retry_at}
    )
    event.emit(store, "invoice.payment_failed", invoice)
    return invoice


def mark_uncollectible(store: Store, invoice: Json) -> Json:
    """Write an invoice off after the last attempt."""
    invoice = store.put(
        _without_retries(invoice)
        | {
            "status": "uncollectible",
            "status_details": {"uncollectible": {"reason": "max_payment_attempts"}},
            "status_transitions": {
                **invoice["status_transitions"],
                "marked_uncollectible_at": store.now,
            },
        }
    )
    event.emit(store, "invoice.marked_uncollectible", invoice)
    return invoice


def stop_collecting(store: Store, subscription: Json) -> None:
    """Stop collecting a cancelled subscription's invoices; open ones stay open."""
    where: dict[str, object] = {
        "parent.subscription_details.subscription": subscription["id"],
        "status": "open",
    }
    for invoice in store.find("invoice", where):
        store.put(_without_retries(invoice))


def _without_retries(invoice: Json) -> Json:
    return invoice | {"auto_advance": False, "next_payment_attempt": None, "_due_at": None}


def _constants() -> Json:
    """Return the fields that are the same in every new invoice."""
    null_fields = (
        "account_tax_ids amount_paid_off_stripe application automatically_finalizes_at"
        " custom_fields customer_account customer_address customer_shipping default_payment_method"
        " default_source description due_date effective_at footer from_invoice hosted_invoice_url"
        " invoice_pdf last_finalization_error latest_revision next_payment_attempt number"
        " on_behalf_of receipt_number rendering shipping_cost shipping_details"
        " statement_descriptor status_details test_clock threshold_reason webhooks_delivered_at"
    )
    return {
        **dict.fromkeys(null_fields.split()),
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
