"""What begins and ends a subscription: a paid checkout, its cancellation, its last day."""

from __future__ import annotations

from creditapp.stripe_sandbox import dunning, promotions
from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.objects import discount as discounts
from creditapp.stripe_sandbox.objects import event, invoice_line, invoice_totals, promotion_code
from creditapp.stripe_sandbox.objects import invoice as invoices
from creditapp.stripe_sandbox.objects import invoice_payment as payments
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.store import Books, Json


def begin(books: Books, session: Json, intent: Json | None, method: Json | None) -> Json:
    """Make the subscription and first invoice of a checkout just paid; return the checkout."""
    sold = session["_line_items"]
    subscription = subscriptions.create(
        books,
        [each for each in sold if each["price"]["recurring"]],
        customer=session["customer"],
        method=method["id"] if method else None,
        given=session["_subscription_data"],
    )
    subscription |= _terms(books, session, subscription)
    trial = subscription["status"] == "trialing"
    lines = lines_of_period(books, subscription, free=trial)
    lines += [
        invoice_line.of_sale(books, subscription, each)
        for each in sold
        if not each["price"]["recurring"]
    ]
    draft = invoices.draft(
        books,
        subscription,
        lines,
        reason="subscription_create",
        period=(books.now, books.now),
        from_balance=False,
    )
    billed = {} if trial else billed_for(subscription, draft)
    subscription = books.put(subscription | {"latest_invoice": draft["id"], "_billed": billed})
    event.tell(books, "customer.subscription.created", subscription)
    invoice = invoices.issue(books, draft)
    if intent is not None:
        payments.paid(books, payments.create(books, invoice, intent))
        invoice |= {"attempt_count": 1}
    invoices.paid(books, invoice, invoice["amount_due"])
    left = discounts.left_after(books, subscription, invoice)
    subscriptions.change(books, subscription, {"discounts": left})
    return session | {"subscription": subscription["id"], "invoice": invoice["id"]}


def renew(books: Books, subscription: Json) -> Json:
    """Begin the next period and bill it: the present one is over, or its trial is."""
    moved, draft = next_period(books, subscription, reason="subscription_cycle")
    trial = subscription["status"] == "trialing"
    changes = {
        "items": moved["items"],
        "latest_invoice": draft["id"],
        "status": "active" if trial else subscription["status"],
        "discounts": discounts.left_after(books, moved, draft),
        "_billed": billed_for(moved, draft),
        "_pending": [],
    }
    subscription = subscriptions.change(books, subscription, changes)
    return dunning.bill(books, subscription, draft)


def next_period(books: Books, subscription: Json, *, reason: str) -> tuple[Json, Json]:
    """Return a subscription as it is in its next period, and that one's invoice; store nothing."""
    before = subscriptions.period_of(subscription)
    anchor = subscription["billing_cycle_anchor"]
    items = subscription["items"]["data"]
    moved = subscription | subscriptions.in_period(subscription, before[1], anchor, items)
    lines = [*moved["_pending"], *lines_of_period(books, moved)]
    return moved, invoices.draft(books, moved, lines, reason=reason, period=before)


def cancel(books: Books, subscription: Json) -> Json:
    """End a subscription now; what is open stays open, and no one is charged any more."""
    if subscription["status"] in subscriptions.ENDED:
        raise Refused(
            f"No such subscription: '{subscription['id']}'",
            status=404,
            code="resource_missing",
            param="id",
        )
    invoices.stop_collecting(books, subscription)
    return subscriptions.end(books, subscription, reason="cancellation_requested")


def lines_of_period(books: Books, subscription: Json, *, free: bool = False) -> list[Json]:
    """Return the lines that bill a subscription's present period in full."""
    return [
        invoice_line.of_period(books, subscription, item, free=free)
        for item in subscription["items"]["data"]
    ]


def billed_for(subscription: Json, invoice: Json | None = None) -> Json:
    """Return what the present period has been billed at, by item: what is unused of it is worth.

    ``invoice`` is the one that bills the whole period: what a discount took off is not given back.
    """
    billed = {
        item["id"]: {
            "price": item["price"],
            "quantity": item["quantity"],
            "paid": item["price"]["unit_amount"] * item["quantity"],
        }
        for item in subscription["items"]["data"]
    }
    for line in invoice["lines"]["data"] if invoice else []:
        details = line["parent"]["subscription_item_details"]
        if details and not details["proration"]:
            billed[details["subscription_item"]]["paid"] = invoice_totals.paid_for(line)
    return billed


def _terms(books: Books, session: Json, subscription: Json) -> Json:
    """Return the discount and the tax that a checkout hands on to its subscription."""
    taxed = session["automatic_tax"]["enabled"]
    tax = {"enabled": taxed, "liability": {"type": "self"} if taxed else None}
    terms: Json = {"automatic_tax": {"disabled_reason": None, **tax}}
    coupon = promotion_code.good_coupon(books, promotions.code_of(books, session))
    if coupon is not None:
        terms["discounts"] = [discounts.create(books, session, coupon, subscription)["id"]]
    return terms


def tick(books: Books) -> None:
    """Do what the time has brought, in its order and each thing at the moment it fell due."""
    while True:
        subscription = books.earliest_due("subscription")
        invoice = books.earliest_due("invoice")
        if invoice and (not subscription or invoice["_due_at"] <= subscription["_due_at"]):
            with books.at(invoice["_due_at"]):
                _try_again(books, invoice)
        elif subscription:
            with books.at(subscription["_due_at"]):
                _fall_due(books, subscription)
        else:
            return


def _try_again(books: Books, invoice: Json) -> None:
    named = invoice["parent"]["subscription_details"]["subscription"]
    subscription = books.get("subscription", named)
    assert subscription is not None  # the invoice was made for it
    dunning.attempt(books, subscription, invoice)


def _fall_due(books: Books, subscription: Json) -> None:
    end = subscriptions.period_of(subscription)[1]
    if books.now < end:
        subscriptions.tell_of_trial_end(books, subscription)
    elif subscription["cancel_at_period_end"]:
        invoices.stop_collecting(books, subscription)
        subscriptions.end(books, subscription, reason="cancellation_requested")
    else:
        renew(books, subscription)
