"""Start, renewal and cancellation of subscriptions."""

from __future__ import annotations

from creditapp.stripe_sandbox import dunning, promotions, totals
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.objects import discount as discounts
from creditapp.stripe_sandbox.objects import event, invoice_line, invoice_totals, promotion_code
from creditapp.stripe_sandbox.objects import invoice as invoices
from creditapp.stripe_sandbox.objects import invoice_payment as payments
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.store import Json, Store


def start(store: Store, session: Json, intent: Json | None, method: Json | None) -> Json:
    """Create the subscription and first invoice of a paid checkout; return the checkout."""
    items = session["_line_items"]
    subscription = subscriptions.create(
        store,
        [item for item in items if item["price"]["recurring"]],
        customer=session["customer"],
        method=method["id"] if method else None,
        params=session["_subscription_data"],
    )
    subscription |= _terms(store, session, subscription)
    trial = subscription["status"] == "trialing"
    lines = period_lines(store, subscription, free=trial)
    lines += [
        invoice_line.of_one_time_price(store, subscription, item)
        for item in items
        if not item["price"]["recurring"]
    ]
    draft = invoices.draft(
        store,
        subscription,
        lines,
        reason="subscription_create",
        period=(store.now, store.now),
        from_balance=False,
    )
    billed = {} if trial else billed_amounts(store, subscription, store.now, draft)
    subscription = store.put(subscription | {"latest_invoice": draft["id"], "_billed": billed})
    event.emit(store, "customer.subscription.created", subscription)
    invoice = invoices.issue(store, draft)
    if intent is not None:
        payments.mark_paid(store, payments.create(store, invoice, intent))
        invoice |= {"attempt_count": 1}
    invoices.mark_paid(store, invoice, invoice["amount_due"])
    left = discounts.remaining_after(store, subscription, invoice)
    subscriptions.change(store, subscription, {"discounts": left})
    return session | {"subscription": subscription["id"], "invoice": invoice["id"]}


def renew(store: Store, subscription: Json) -> Json:
    """Start the next period and bill it, after a period or a trial has ended."""
    moved, draft = next_period(store, subscription, reason="subscription_cycle")
    trial = subscription["status"] == "trialing"
    changes = {
        "items": moved["items"],
        "latest_invoice": draft["id"],
        "status": "active" if trial else subscription["status"],
        "discounts": discounts.remaining_after(store, moved, draft),
        "_billed": billed_amounts(store, moved, store.now, draft),
        "_pending": [],
    }
    subscription = subscriptions.change(store, subscription, changes)
    return dunning.bill(store, subscription, draft)


def next_period(store: Store, subscription: Json, *, reason: str) -> tuple[Json, Json]:
    """Return a subscription in its next period and the draft invoice; store nothing."""
    before = subscriptions.period_of(subscription)
    anchor = subscription["billing_cycle_anchor"]
    items = subscription["items"]["data"]
    moved = subscription | subscriptions.period_changes(subscription, before[1], anchor, items)
    lines = [*moved["_pending"], *period_lines(store, moved)]
    return moved, invoices.draft(store, moved, lines, reason=reason, period=before)


def cancel(store: Store, subscription: Json) -> Json:
    """End a subscription now; open invoices stay open, but no more charges are attempted."""
    if subscription["status"] in subscriptions.ENDED:
        raise StripeAPIError(
            f"No such subscription: '{subscription['id']}'",
            status=404,
            code="resource_missing",
            param="id",
        )
    invoices.stop_collecting(store, subscription)
    return subscriptions.end(store, subscription, reason="cancellation_requested")


def period_lines(store: Store, subscription: Json, *, free: bool = False) -> list[Json]:
    """Return the invoice lines of a subscription's full current period."""
    return [
        invoice_line.of_period(store, subscription, item, free=free)
        for item in subscription["items"]["data"]
    ]


def billed_amounts(store: Store, subscription: Json, at: int, invoice: Json | None = None) -> Json:
    """Return the billed amounts of the current period by item, the basis of proration credits.

    ``invoice`` is the invoice of the whole period, if any: only what it charged is credited.
    """
    applied = discounts.of_subscription(store, subscription, at)
    billed: Json = {}
    for item in subscription["items"]["data"]:
        gross = item["price"]["unit_amount"] * item["quantity"]
        off = totals.discount_of(applied[1], gross) if applied else 0
        billed[item["id"]] = {
            "price": item["price"],
            "quantity": item["quantity"],
            "gross": gross,
            "net": gross - off,
            "discount": applied[0]["id"] if off and applied else None,
            "lines": [],
        }
    for line in invoice["lines"]["data"] if invoice else []:
        details = line["parent"]["subscription_item_details"]
        if details and not details["proration"]:
            billed[details["subscription_item"]] |= {
                "net": invoice_totals.paid_for(line),
                "discount": next(iter(line["discounts"]), None),
                "lines": [line["id"]],
            }
    return billed


def _terms(store: Store, session: Json, subscription: Json) -> Json:
    """Return the discount and tax that a subscription takes over from its checkout."""
    taxed = session["automatic_tax"]["enabled"]
    tax = {"enabled": taxed, "liability": {"type": "self"} if taxed else None}
    terms: Json = {"automatic_tax": {"disabled_reason": None, **tax}}
    coupon = promotion_code.redeemable_coupon(store, promotions.code_of(store, session))
    if coupon is not None:
        terms["discounts"] = [discounts.create(store, session, coupon, subscription)["id"]]
    return terms


def run_due_work(store: Store) -> None:
    """Run due renewals and payment attempts in order, each at the time it was due."""
    while True:
        subscription = store.earliest_due("subscription")
        invoice = store.earliest_due("invoice")
        if invoice and (not subscription or invoice["_due_at"] <= subscription["_due_at"]):
            with store.at(invoice["_due_at"]):
                _retry_payment(store, invoice)
        elif subscription:
            with store.at(subscription["_due_at"]):
                _run_due_subscription(store, subscription)
        else:
            return


def _retry_payment(store: Store, invoice: Json) -> None:
    subscription_id = invoice["parent"]["subscription_details"]["subscription"]
    subscription = store.get("subscription", subscription_id)
    assert subscription is not None  # the invoice was created for it
    dunning.attempt(store, subscription, invoice)


def _run_due_subscription(store: Store, subscription: Json) -> None:
    cancel_at = subscription["cancel_at"]
    if cancel_at is not None and cancel_at <= store.now:
        invoices.stop_collecting(store, subscription)
        subscriptions.end(store, subscription, reason="cancellation_requested")
    elif store.now < subscriptions.period_of(subscription)[1]:
        subscriptions.notify_trial_end(store, subscription)
    else:
        renew(store, subscription)
