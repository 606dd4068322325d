"""What happens when somebody pays a checkout, or fails to: the verbs behind the pages' buttons.

Each changes a checkout, its payment intent and its charge together and tells of it, within the
caller's transaction. Doing a thing twice does it once.
"""

from __future__ import annotations

import time

from creditapp.stripe_sandbox import charges as stripe_sandbox_charges
from creditapp.stripe_sandbox import promotions, subscription_starts
from creditapp.stripe_sandbox.cards import (
    BOUNCED,
    DECLINED,
    MEANS,
    NOT_AUTHENTICATED,
    SOON_SECONDS,
    Means,
)
from creditapp.stripe_sandbox.objects import charge as charges
from creditapp.stripe_sandbox.objects import checkout_session as sessions
from creditapp.stripe_sandbox.objects import customer as customers
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.objects import payment_intent as intents
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects import setup_intent as setups
from creditapp.stripe_sandbox.store import Books, Json


def offered(session: Json) -> list[Means]:
    """Return the ways to pay that a checkout allows."""
    return [means for means in MEANS if means.method in session["payment_method_types"]]


def intent_of(books: Books, session: Json) -> Json | None:
    """Return the payment intent of a checkout; a subscription's does not name its own."""
    named = session["payment_intent"] or session.get("_intent")
    return books.get("payment_intent", named or "")


def awaits_step(books: Books, session: Json) -> bool:
    """Return whether the bank waits for its further step."""
    intent = intent_of(books, session)
    waits = bool(session.get("_step")) or bool(intent and intent["status"] == "requires_action")
    return session["status"] == "open" and waits


def problem_of(books: Books, session: Json) -> str | None:
    """Return why the last try failed, in words for its buyer."""
    intent = intent_of(books, session)
    error = session.get("_problem") or (intent or {}).get("last_payment_error")
    return str(error["message"]) if error else None


def pay(books: Books, session: Json, means: Means, email: str, step_url: str) -> Json:
    """Try to pay an open checkout; return it as it is then. Others are returned untouched."""
    if session["status"] != "open":
        return session
    session = books.put(session | {"_email": email, "_problem": None})
    session = promotions.without_a_dead_code(books, session)
    if session["_problem"]:
        return session
    if not session["amount_total"]:
        return _agree(books, session, means)
    intent = _intent(books, session, means)
    if session["mode"] == "payment":
        session = books.put(session | {"payment_intent": intent["id"]})
    else:
        session = books.put(session | {"_intent": intent["id"]})
    if means.key == "declined":
        details = charges.card_details(means.number)
        stripe_sandbox_charges.fail(books, intent, DECLINED, details, email)
        return session
    if means.asks:
        intent |= {
            "status": "requires_action",
            "next_action": {
                "redirect_to_url": {"return_url": None, "url": step_url},
                "type": "redirect_to_url",
            },
        }
        books.put(intent)
        event.tell(books, "payment_intent.requires_action", intent)
        return session
    if means.method == "us_bank_account":
        return _wait_for_the_bank(books, session, intent, means, email)
    return _take(books, session, intent)


def answer_step(books: Books, session: Json, *, complete: bool) -> Json:
    """Answer the bank's further step: the payment succeeds, or the buyer may try again."""
    if not awaits_step(books, session):
        return session
    intent = intent_of(books, session)
    if session.get("_step"):
        session = books.put(session | {"_step": None})
        if complete:
            return _complete(books, session, None, books.get("payment_method", session["_method"]))
        return books.put(session | {"_problem": stripe_sandbox_charges.error_of(NOT_AUTHENTICATED)})
    assert intent is not None  # it is what waits
    intent = books.put(intent | {"next_action": None})
    if complete:
        return _take(books, session, intent, authenticated=True)
    stripe_sandbox_charges.refuse(books, intent, NOT_AUTHENTICATED, charge_id=None)
    return session


def settle(books: Books, intent: Json, *, arrives: bool) -> Json:
    """Let the money of a payment that is on its way arrive, or not; return the intent."""
    session = books.get("checkout.session", intent["_session"] or "")
    charge = books.get("charge", intent["latest_charge"] or "")
    if intent["status"] != "processing" or session is None or charge is None:
        return intent
    status = "succeeded" if arrives else "failed"
    charge |= {"status": status, "paid": arrives, "outcome": charges.outcome(status)}
    intent = books.put({**intent, "processing": None, "_settle_at": None})
    if not arrives:
        charge |= {"failure_code": BOUNCED[0], "failure_message": BOUNCED[1]}
        charge |= {"captured": False, "amount_captured": 0}
        books.put(charge)
        event.tell(books, "charge.failed", charge)
        intent = stripe_sandbox_charges.refuse(books, intent, BOUNCED, charge_id=charge["id"])
        event.tell(books, "checkout.session.async_payment_failed", session)
        return intent
    books.put(charge)
    intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    books.put(intent)
    session |= {"payment_status": "paid"}
    books.put(session)
    event.tell(books, "charge.succeeded", charge)
    event.tell(books, "payment_intent.succeeded", intent)
    event.tell(books, "checkout.session.async_payment_succeeded", session)
    return intent


def tick(books: Books) -> None:
    """Do what the time has brought: expired checkouts, debits that arrive, renewals."""
    for session in books.find(
        "checkout.session", {"status": "open"}, due=("expires_at", books.now)
    ):
        sessions.expire(books, session)
    for intent in books.find(
        "payment_intent", {"status": "processing"}, due=("_settle_at", time.time())
    ):
        settle(books, intent, arrives=True)
    subscription_starts.tick(books)


def _intent(books: Books, session: Json, means: Means) -> Json:
    """Return the checkout's payment intent, made at the first try and kept for the next."""
    known = intent_of(books, session)
    intent = known or intents.of_checkout(books, session)
    if known is None:
        event.tell(books, "payment_intent.created", intent)
    method = methods.create(books, means.method, means.number, session["_email"])
    changes = {
        "amount": session["amount_total"],
        "last_payment_error": None,
        "next_action": None,
        "payment_method": method["id"],
    }
    return books.put(intent | changes)


def _agree(books: Books, session: Json, means: Means) -> Json:
    """Finish a checkout that takes no money now; a trial still asks for a card."""
    if not sessions.needs_means(session):
        return _complete(books, session, None, None)
    if means.key == "declined":
        if session["setup_intent"]:
            setups.fail(books, session["setup_intent"], stripe_sandbox_charges.error_of(DECLINED))
        return books.put(session | {"_problem": stripe_sandbox_charges.error_of(DECLINED)})
    method = methods.create(books, means.method, means.number, session["_email"])
    if means.asks:
        return books.put(session | {"_step": True, "_method": method["id"]})
    return _complete(books, session, None, method)


def _take(books: Books, session: Json, intent: Json, *, authenticated: bool = False) -> Json:
    method = books.get("payment_method", intent["payment_method"])
    assert method is not None  # the intent was given it with this try
    if session["mode"] == "subscription" or intent["setup_future_usage"]:
        session = _with_customer(books, session)
        intent |= {"customer": session["customer"]}
    details = charges.card_details(method["_number"], authenticated=authenticated)
    intent = stripe_sandbox_charges.succeed(books, intent, details, session["_email"])
    return _complete(books, session | {"payment_status": "paid"}, intent, method)


def _wait_for_the_bank(books: Books, session: Json, intent: Json, means: Means, email: str) -> Json:
    charge = charges.create(
        books, intent, status="pending", method=charges.bank_details(), email=email
    )
    intent |= {"status": "processing", "latest_charge": charge["id"]}
    if means.key == "pays-soon":
        intent["_settle_at"] = time.time() + SOON_SECONDS
    books.put(intent)
    event.tell(books, "charge.pending", charge)
    event.tell(books, "payment_intent.processing", intent)
    return _complete(books, session, intent, None)


def _with_customer(books: Books, session: Json) -> Json:
    """Return a checkout with its customer, who is made if there is none yet."""
    if session["customer"]:
        return session
    customer = customers.create(books, {"email": session["_email"]})
    return session | {"customer": customer["id"]}


def _complete(books: Books, session: Json, intent: Json | None, method: Json | None) -> Json:
    if session["customer_creation"] == "always":
        session = _with_customer(books, session)
        if intent and intent["customer"] is None:
            intent = books.put(intent | {"customer": session["customer"]})
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
    if method is not None and _saves(session, intent):
        _save(books, session, method)
    if session["mode"] == "subscription":
        session = subscription_starts.begin(books, session, intent, method)
    promotions.redeem(books, session)
    books.put(session)
    event.tell(books, "checkout.session.completed", session)
    return session


def _saves(session: Json, intent: Json | None) -> bool:
    """Return whether a checkout keeps the card for later payments."""
    return session["mode"] != "payment" or bool(intent and intent["setup_future_usage"])


def _save(books: Books, session: Json, method: Json) -> None:
    customer = books.get("customer", session["customer"] or "")
    if customer is not None:
        methods.attach(books, method, customer)
    if session["setup_intent"]:
        setups.succeed(books, session["setup_intent"], method, session["customer"])
