"""Dunning: collect an invoice, retry failed payments, and cancel after the last retry."""

from __future__ import annotations

from creditapp.stripe_sandbox import payment_attempts, payment_options
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects import invoice as invoices
from creditapp.stripe_sandbox.objects import invoice_payment as payments
from creditapp.stripe_sandbox.objects import payment_intent as intents
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.payment_options import Failure
from creditapp.stripe_sandbox.periods import DAY_SECONDS
from creditapp.stripe_sandbox.store import Json, Store

RETRY_DAYS = (3, 5, 7)
"""Days until the next attempt; after the last one the subscription is cancelled."""


def bill(store: Store, subscription: Json, draft: Json, *, strict: bool = False) -> Json:
    """Issue an invoice and collect it; return the updated subscription.

    ``strict`` raises the card error, and the caller rolls everything back.
    """
    subscription = subscriptions.change(store, subscription, {"latest_invoice": draft["id"]})
    invoice = invoices.issue(store, draft)
    if invoice["amount_due"] == 0:
        return _paid(store, subscription, invoice, 0)
    return attempt(store, subscription, invoice, strict=strict)


def attempt(store: Store, subscription: Json, invoice: Json, *, strict: bool = False) -> Json:
    """Try once to collect an open invoice; return the updated subscription."""
    payment, intent = _payment(store, invoice)
    method = _method(store, subscription)
    if method is None and strict:
        raise StripeAPIError(
            "This customer has no attached payment source or default payment method. Please"
            " consider adding a default payment method.",
            code="resource_missing",
        )
    failure = _failure(subscription, invoice, method)
    if failure and strict:
        raise card_error(failure)
    if subscription["_decline_next"] and invoice["billing_reason"] == "subscription_cycle":
        subscription = subscriptions.change(store, subscription, {"_decline_next": False})
    invoice |= {"attempt_count": invoice["attempt_count"] + 1}
    email = invoice["customer_email"] or ""
    if method is not None:
        intent |= {"payment_method": method["id"]}
        details = charges.card_details(method["_number"])
        if failure is None:
            payment_attempts.succeed(store, intent, details, email)
            payments.mark_paid(store, payment)
            return _paid(store, subscription, invoice, invoice["amount_due"])
        payment_attempts.fail(store, intent, failure, details, email)
    return _failed(store, subscription, invoice)


def card_error(failure: Failure) -> StripeAPIError:
    """Return the API error for a failed card payment."""
    error = payment_attempts.payment_error(failure)
    api_error = StripeAPIError(failure[1], status=402, kind="card_error", code=failure[0])
    if "decline_code" in error:
        api_error.body["decline_code"] = error["decline_code"]
    return api_error


def _payment(store: Store, invoice: Json) -> tuple[Json, Json]:
    """Return an invoice's payment and its intent, created at the first attempt."""
    payment = payments.of_invoice(store, invoice)
    if payment is not None:
        intent = store.get("payment_intent", payment["payment"]["payment_intent"])
        assert intent is not None  # both are created together
        return payment, intent
    changed = invoice["billing_reason"] == "subscription_update"
    intent = intents.create(
        store,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        method_types=["card"],
        params={"description": "Subscription update" if changed else "Subscription cycle"},
    )
    event.emit(store, "payment_intent.created", intent)
    return payments.create(store, invoice, intent), intent


def _method(store: Store, subscription: Json) -> Json | None:
    customer = store.get("customer", subscription["customer"])
    settings = customer["invoice_settings"] if customer else {}
    method_id = subscription["default_payment_method"] or settings.get("default_payment_method")
    method = store.get("payment_method", method_id or "")
    return method if method and method["customer"] else None


def _failure(subscription: Json, invoice: Json, method: Json | None) -> Failure | None:
    renewal = invoice["billing_reason"] == "subscription_cycle"
    if subscription["_decline_next"] and renewal:
        return payment_options.DECLINED
    return payment_options.off_session_failure(method["_number"]) if method else None


def _paid(store: Store, subscription: Json, invoice: Json, amount: int) -> Json:
    invoices.mark_paid(store, invoice, amount)
    if subscription["status"] == "past_due" and subscription["latest_invoice"] == invoice["id"]:
        return subscriptions.change(store, subscription, {"status": "active"})
    return subscription


def _failed(store: Store, subscription: Json, invoice: Json) -> Json:
    attempts = invoice["attempt_count"]
    exhausted = attempts > len(RETRY_DAYS)
    retry_at = None if exhausted else store.now + RETRY_DAYS[attempts - 1] * DAY_SECONDS
    invoice = invoices.mark_failed(store, invoice, retry_at=retry_at)
    if not exhausted:
        return subscriptions.change(store, subscription, {"status": "past_due"})
    payment = payments.of_invoice(store, invoice)
    if payment is not None:
        payments.cancel(store, payment)
    invoices.mark_uncollectible(store, invoice)
    invoices.stop_collecting(store, subscription)
    return subscriptions.end(store, subscription, reason="payment_failed")
