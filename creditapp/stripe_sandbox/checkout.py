"""Paying a checkout: the functions behind the checkout page.

Each updates a checkout, its payment intent and its charge together and emits the events, in the
caller's transaction. Each is idempotent.
"""

from __future__ import annotations

import time

from creditapp.stripe_sandbox import payment_attempts, promotions, subscription_lifecycle
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import checkout_session as sessions
from creditapp.stripe_sandbox.objects import customer as customers
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects import payment_intent as intents
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects import setup_intent as setups
from creditapp.stripe_sandbox.payment_options import (
    BANK_DEBIT_SECONDS,
    BOUNCED,
    DECLINED,
    NOT_AUTHENTICATED,
    PAYMENT_OPTIONS,
    PaymentOption,
)
from creditapp.stripe_sandbox.store import Json, Store


def payment_options(session: Json) -> list[PaymentOption]:
    """Return the payment options of a checkout."""
    return [
        option for option in PAYMENT_OPTIONS if option.method in session["payment_method_types"]
    ]


def intent_of(store: Store, session: Json) -> Json | None:
    """Return the payment intent of a checkout, also where the session does not expose it."""
    intent_id = session["payment_intent"] or session.get("_intent")
    return store.get("payment_intent", intent_id or "")


def awaits_step(store: Store, session: Json) -> bool:
    """Whether the bank waits for the authentication step."""
    intent = intent_of(store, session)
    needs_step = bool(session.get("_step")) or bool(
        intent and intent["status"] == "requires_action"
    )
    return session["status"] == "open" and needs_step


def last_error_message(store: Store, session: Json) -> str | None:
    """Return the message of the last failed attempt, or None."""
    intent = intent_of(store, session)
    error = session.get("_problem") or (intent or {}).get("last_payment_error")
    return str(error["message"]) if error else None


def pay(store: Store, session: Json, option: PaymentOption, email: str, step_url: str) -> Json:
    """Try to pay an open checkout and return it; return any other unchanged."""
    if session["status"] != "open":
        return session
    session = store.put(session | {"_email": email, "_problem": None})
    session = promotions.drop_invalid_code(store, session)
    if session["_problem"]:
        return session
    if not session["amount_total"]:
        return _complete_without_payment(store, session, option)
    intent = _intent(store, session, option)
    if session["mode"] == "payment":
        session = store.put(session | {"payment_intent": intent["id"]})
    else:
        session = store.put(session | {"_intent": intent["id"]})
    if option.key == "declined":
        details = charges.card_details(option.number)
        payment_attempts.fail(store, intent, DECLINED, details, email)
        return session
    if option.requires_action:
        intent |= {
            "status": "requires_action",
            "next_action": {
                "redirect_to_url": {"return_url": None, "url": step_url},
                "type": "redirect_to_url",
            },
        }
        store.put(intent)
        event.emit(store, "payment_intent.requires_action", intent)
        return session
    if option.method == "us_bank_account":
        return _start_bank_debit(store, session, intent, option, email)
    return _charge(store, session, intent)


def answer_step(store: Store, session: Json, *, complete: bool) -> Json:
    """Complete the authentication step, or fail it, after which the buyer may try again."""
    if not awaits_step(store, session):
        return session
    intent = intent_of(store, session)
    if session.get("_step"):
        session = store.put(session | {"_step": None})
        if complete:
            return _complete(store, session, None, store.get("payment_method", session["_method"]))
        return store.put(session | {"_problem": payment_attempts.payment_error(NOT_AUTHENTICATED)})
    assert intent is not None  # it requires the step
    intent = store.put(intent | {"next_action": None})
    if complete:
        return _charge(store, session, intent, authenticated=True)
    payment_attempts.record_failure(store, intent, NOT_AUTHENTICATED, charge_id=None)
    return session


def settle(store: Store, intent: Json, *, succeeds: bool) -> Json:
    """Make a processing payment succeed or fail; return the intent."""
    session = store.get("checkout.session", intent["_session"] or "")
    charge = store.get("charge", intent["latest_charge"] or "")
    if intent["status"] != "processing" or session is None or charge is None:
        return intent
    status = "succeeded" if succeeds else "failed"
    charge |= {"status": status, "paid": succeeds, "outcome": charges.outcome(status)}
    intent = store.put({**intent, "processing": None, "_settle_at": None})
    if not succeeds:
        charge |= {"failure_code": BOUNCED[0], "failure_message": BOUNCED[1]}
        charge |= {"captured": False, "amount_captured": 0}
        store.put(charge)
        event.emit(store, "charge.failed", charge)
        intent = payment_attempts.record_failure(store, intent, BOUNCED, charge_id=charge["id"])
        event.emit(store, "checkout.session.async_payment_failed", session)
        return intent
    store.put(charge)
    intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    store.put(intent)
    session |= {"payment_status": "paid"}
    store.put(session)
    event.emit(store, "charge.succeeded", charge)
    event.emit(store, "payment_intent.succeeded", intent)
    event.emit(store, "checkout.session.async_payment_succeeded", session)
    return intent


def run_due_work(store: Store) -> None:
    """Run all work that is due: expire checkouts, settle bank debits, renew subscriptions."""
    for session in store.find(
        "checkout.session", {"status": "open"}, due=("expires_at", store.now)
    ):
        sessions.expire(store, session)
    for intent in store.find(
        "payment_intent", {"status": "processing"}, due=("_settle_at", time.time())
    ):
        settle(store, intent, succeeds=True)
    subscription_lifecycle.run_due_work(store)


def _intent(store: Store, session: Json, option: PaymentOption) -> Json:
    """Return the checkout's payment intent, created at the first attempt and then reused."""
    existing = intent_of(store, session)
    intent = existing or intents.of_checkout(store, session)
    if existing is None:
        event.emit(store, "payment_intent.created", intent)
    method = methods.create(store, option.method, option.number, session["_email"])
    changes = {
        "amount": session["amount_total"],
        "last_payment_error": None,
        "next_action": None,
        "payment_method": method["id"],
    }
    return store.put(intent | changes)


def _complete_without_payment(store: Store, session: Json, option: PaymentOption) -> Json:
    """Complete a checkout without a payment now; a trial still requires a card."""
    if not sessions.needs_payment_method(session):
        return _complete(store, session, None, None)
    if option.key == "declined":
        if session["setup_intent"]:
            setups.fail(store, session["setup_intent"], payment_attempts.payment_error(DECLINED))
        return store.put(session | {"_problem": payment_attempts.payment_error(DECLINED)})
    method = methods.create(store, option.method, option.number, session["_email"])
    if option.requires_action:
        return store.put(session | {"_step": True, "_method": method["id"]})
    return _complete(store, session, None, method)


def _charge(store: Store, session: Json, intent: Json, *, authenticated: bool = False) -> Json:
    method = store.get("payment_method", intent["payment_method"])
    assert method is not None  # it was set on the intent in this attempt
    if session["mode"] == "subscription" or intent["setup_future_usage"]:
        session = _with_customer(store, session)
        intent |= {"customer": session["customer"]}
    details = charges.card_details(method["_number"], authenticated=authenticated)
    intent = payment_attempts.succeed(store, intent, details, session["_email"])
    return _complete(store, session | {"payment_status": "paid"}, intent, method)


def _start_bank_debit(
    store: Store, session: Json, intent: Json, option: PaymentOption, email: str
) -> Json:
    charge = charges.create(
        store, intent, status="pending", method=charges.bank_details(), email=email
    )
    intent |= {"status": "processing", "latest_charge": charge["id"]}
    if option.key == "pays-soon":
        intent["_settle_at"] = time.time() + BANK_DEBIT_SECONDS
    store.put(intent)
    event.emit(store, "charge.pending", charge)
    event.emit(store, "payment_intent.processing", intent)
    return _complete(store, session, intent, None)


def _with_customer(store: Store, session: Json) -> Json:
    """Return a checkout with its customer, created if missing."""
    if session["customer"]:
        return session
    customer = customers.create(store, {"email": session["_email"]})
    return session | {"customer": customer["id"]}


def _complete(store: Store, session: Json, intent: Json | None, method: Json | None) -> Json:
    if session["customer_creation"] == "always":
        session = _with_customer(store, session)
        if intent and intent["customer"] is None:
            intent = store.put(intent | {"customer": session["customer"]})
    session |= {
        "status": "complete",
        "url": None,
        "collected_information": {
            "business_name": None,
            "individual_name": None,
            "shipping_details": None,
        },
        "customer_details": {
            "address": charges.NO_ADDRESS | {"country": "US"},
            "business_name": None,
            "email": session["_email"],
            "individual_name": None,
            "name": None,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
    }
    if method is not None and _saves_card(session, intent):
        _save_card(store, session, method)
    if session["mode"] == "subscription":
        session = subscription_lifecycle.start(store, session, intent, method)
    promotions.redeem(store, session)
    store.put(session)
    event.emit(store, "checkout.session.completed", session)
    return session


def _saves_card(session: Json, intent: Json | None) -> bool:
    """Whether a checkout saves the card for later payments."""
    return session["mode"] != "payment" or bool(intent and intent["setup_future_usage"])


def _save_card(store: Store, session: Json, method: Json) -> None:
    customer = store.get("customer", session["customer"] or "")
    if customer is not None:
        methods.attach(store, method, customer)
    if session["setup_intent"]:
        setups.succeed(store, session["setup_intent"], method, session["customer"])
