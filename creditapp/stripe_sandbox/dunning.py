"""Getting an invoice paid: at once, again after some days, and at last not at all."""

from __future__ import annotations

from creditapp.stripe_sandbox import cards
from creditapp.stripe_sandbox import charges as stripe_sandbox_charges
from creditapp.stripe_sandbox.cards import Failure
from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects import invoice as invoices
from creditapp.stripe_sandbox.objects import invoice_payment as payments
from creditapp.stripe_sandbox.objects import payment_intent as intents
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.periods import DAY_SECONDS
from creditapp.stripe_sandbox.store import Books, Json

RETRY_DAYS = (3, 5, 7)
"""The pauses after each try; after the last one the subscription is cancelled."""


def bill(books: Books, subscription: Json, draft: Json, *, strict: bool = False) -> Json:
    """Issue an invoice and collect it; return the subscription as it is then.

    ``strict`` raises the card's refusal, and the caller takes everything back.
    """
    subscription = subscriptions.change(books, subscription, {"latest_invoice": draft["id"]})
    invoice = invoices.issue(books, draft)
    if invoice["amount_due"] == 0:
        return _paid(books, subscription, invoice, 0)
    return attempt(books, subscription, invoice, strict=strict)


def attempt(books: Books, subscription: Json, invoice: Json, *, strict: bool = False) -> Json:
    """Try once to collect an open invoice; return the subscription as it is then."""
    payment, intent = _payment(books, invoice)
    method = _method(books, subscription)
    if method is None and strict:
        raise Refused(
            "This customer has no attached payment source or default payment method. Please"
            " consider adding a default payment method.",
            code="resource_missing",
        )
    failure = _failure(subscription, invoice, method)
    if failure and strict:
        raise declined(failure)
    if subscription["_decline_next"] and invoice["billing_reason"] == "subscription_cycle":
        subscription = subscriptions.change(books, subscription, {"_decline_next": False})
    invoice |= {"attempt_count": invoice["attempt_count"] + 1}
    email = invoice["customer_email"] or ""
    if method is not None:
        intent |= {"payment_method": method["id"]}
        details = charges.card_details(method["_number"])
        if failure is None:
            stripe_sandbox_charges.succeed(books, intent, details, email)
            payments.paid(books, payment)
            return _paid(books, subscription, invoice, invoice["amount_due"])
        stripe_sandbox_charges.fail(books, intent, failure, details, email)
    return _failed(books, subscription, invoice)


def declined(failure: Failure) -> Refused:
    """Return a card's refusal as the API answers it."""
    error = stripe_sandbox_charges.error_of(failure)
    refused = Refused(failure[1], status=402, kind="card_error", code=failure[0])
    if "decline_code" in error:
        refused.error["decline_code"] = error["decline_code"]
    return refused


def _payment(books: Books, invoice: Json) -> tuple[Json, Json]:
    """Return an invoice's payment and its intent, made at the first try."""
    payment = payments.of_invoice(books, invoice)
    if payment is not None:
        intent = books.get("payment_intent", payment["payment"]["payment_intent"])
        assert intent is not None  # they are made together
        return payment, intent
    changed = invoice["billing_reason"] == "subscription_update"
    intent = intents.create(
        books,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        method_types=["card"],
        given={"description": "Subscription update" if changed else "Subscription cycle"},
    )
    event.tell(books, "payment_intent.created", intent)
    return payments.create(books, invoice, intent), intent


def _method(books: Books, subscription: Json) -> Json | None:
    customer = books.get("customer", subscription["customer"])
    settings = customer["invoice_settings"] if customer else {}
    chosen = subscription["default_payment_method"] or settings.get("default_payment_method")
    method = books.get("payment_method", chosen or "")
    return method if method and method["customer"] else None


def _failure(subscription: Json, invoice: Json, method: Json | None) -> Failure | None:
    renewal = invoice["billing_reason"] == "subscription_cycle"
    if subscription["_decline_next"] and renewal:
        return cards.DECLINED
    return cards.failure_later(method["_number"]) if method else None


def _paid(books: Books, subscription: Json, invoice: Json, amount: int) -> Json:
    invoices.paid(books, invoice, amount)
    if subscription["status"] == "past_due" and subscription["latest_invoice"] == invoice["id"]:
        return subscriptions.change(books, subscription, {"status": "active"})
    return subscription


def _failed(books: Books, subscription: Json, invoice: Json) -> Json:
    tries = invoice["attempt_count"]
    over = tries > len(RETRY_DAYS)
    again_at = None if over else books.now + RETRY_DAYS[tries - 1] * DAY_SECONDS
    invoice = invoices.failed(books, invoice, again_at=again_at)
    if not over:
        return subscriptions.change(books, subscription, {"status": "past_due"})
    payment = payments.of_invoice(books, invoice)
    if payment is not None:
        payments.cancel(books, payment)
    invoices.give_up(books, invoice)
    invoices.stop_collecting(books, subscription)
    return subscriptions.end(books, subscription, reason="payment_failed")
