"""What happens when somebody pays, or fails to: the verbs behind the pages' buttons.

Each changes a checkout, its payment intent and its charge together and tells of it, within the
caller's transaction. Doing a thing twice does it once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from creditapp.payments.sandbox.ids import new_id
from creditapp.payments.sandbox.objects import charge as charges
from creditapp.payments.sandbox.objects import checkout_session as sessions
from creditapp.payments.sandbox.objects import customer as customers
from creditapp.payments.sandbox.objects import event
from creditapp.payments.sandbox.objects import payment_intent as intents
from creditapp.payments.sandbox.store import Books, Json

SOON_SECONDS = 10


@dataclass(frozen=True)
class Means:
    """One way to pay that the page offers, and what comes of it."""

    key: str
    name: str
    outcome: str
    number: str = ""
    method: str = "card"


MEANS = (
    Means("succeeds", "4242 4242 4242 4242", "The payment succeeds.", "4242424242424242"),
    Means("declined", "4000 0000 0000 0002", "The card is declined.", "4000000000000002"),
    Means(
        "further-step",
        "4000 0000 0000 3220",
        "The bank asks for one more step.",
        "4000000000003220",
    ),
    Means(
        "pays-later",
        "Bank debit, decided by you",
        "The money comes later: say on the sandbox's overview whether it arrives.",
        method="us_bank_account",
    ),
    Means(
        "pays-soon",
        "Bank debit, arrives by itself",
        f"The money comes after {SOON_SECONDS} seconds.",
        method="us_bank_account",
    ),
)

_DECLINED = ("card_declined", "Your card was declined.")
_NOT_AUTHENTICATED = (
    "payment_intent_authentication_failure",
    "The bank did not confirm that it is you. Try again, or choose another card.",
)
_BOUNCED = ("payment_intent_payment_attempt_failed", "The bank returned the debit.")


def offered(session: Json) -> list[Means]:
    """Return the ways to pay that a checkout allows."""
    return [means for means in MEANS if means.method in session["payment_method_types"]]


def pay(books: Books, session: Json, means: Means, email: str, step_url: str) -> Json:
    """Try to pay an open checkout; return it as it is then. Others are returned untouched."""
    if session["status"] != "open":
        return session
    session = books.put(session | {"_email": email})
    if session["amount_total"] == 0:
        return _complete(books, session, None)
    intent = _intent(books, session, means)
    session = books.put(session | {"payment_intent": intent["id"]})
    if means.key == "declined":
        _fail(books, intent, _DECLINED, charges.card_details(means.number), email)
        return session
    if means.key == "further-step":
        intent |= {
            "status": "requires_action",
            "next_action": {
                "redirect_to_url": {"return_url": None, "url": step_url},
                "type": "redirect_to_url",
            },
            "_number": means.number,
        }
        books.put(intent)
        event.tell(books, "payment_intent.requires_action", intent)
        return session
    if means.method == "us_bank_account":
        return _wait_for_the_bank(books, session, intent, means, email)
    return _take(books, session, intent, charges.card_details(means.number))


def answer_step(books: Books, session: Json, *, complete: bool) -> Json:
    """Answer the bank's further step: the payment succeeds, or the buyer may try again."""
    intent = books.get("payment_intent", session["payment_intent"] or "")
    if session["status"] != "open" or not intent or intent["status"] != "requires_action":
        return session
    intent = books.put(intent | {"next_action": None})
    if complete:
        details = charges.card_details(intent["_number"], authenticated=True)
        return _take(books, session, intent, details)
    _refuse(books, intent, _NOT_AUTHENTICATED, kind="invalid_request_error", charge_id=None)
    return session


def settle(books: Books, intent: Json, *, arrives: bool) -> Json:
    """Let the money of a payment that is on its way arrive, or not; return the intent."""
    session = books.get("checkout.session", intent["_session"])
    charge = books.get("charge", intent["latest_charge"] or "")
    if intent["status"] != "processing" or session is None or charge is None:
        return intent
    status = "succeeded" if arrives else "failed"
    charge |= {"status": status, "paid": arrives, "outcome": charges.outcome(status)}
    intent = books.put({**intent, "processing": None, "_settle_at": None})
    if not arrives:
        charge |= {"failure_code": _BOUNCED[0], "failure_message": _BOUNCED[1]}
        charge |= {"captured": False, "amount_captured": 0}
        books.put(charge)
        event.tell(books, "charge.failed", charge)
        intent = _refuse(books, intent, _BOUNCED, kind="card_error", charge_id=charge["id"])
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
    """Do what the time has brought: expire old checkouts, let announced debits arrive."""
    for session in books.find(
        "checkout.session", {"status": "open"}, due=("expires_at", books.now)
    ):
        sessions.expire(books, session)
    for intent in books.find(
        "payment_intent", {"status": "processing"}, due=("_settle_at", time.time())
    ):
        settle(books, intent, arrives=True)


def _intent(books: Books, session: Json, means: Means) -> Json:
    """Return the checkout's payment intent, made at the first try and kept for the next."""
    known = books.get("payment_intent", session["payment_intent"] or "")
    intent = known or intents.create(books, session)
    if known is None:
        event.tell(books, "payment_intent.created", intent)
    changes = {"payment_method": new_id("pm_1"), "next_action": None, "last_payment_error": None}
    return books.put(intent | changes)


def _take(books: Books, session: Json, intent: Json, details: Json) -> Json:
    charge = charges.create(
        books, intent, status="succeeded", method=details, email=session["_email"]
    )
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
    }
    books.put(intent)
    event.tell(books, "charge.succeeded", charge)
    event.tell(books, "payment_intent.succeeded", intent)
    return _complete(books, session | {"payment_status": "paid"}, intent)


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
    return _complete(books, session, intent)


def _complete(books: Books, session: Json, intent: Json | None) -> Json:
    email = session["_email"]
    if session["customer_creation"] == "always":
        customer = customers.create(books, {"email": email})
        session |= {"customer": customer["id"]}
        if intent:
            books.put(intent | {"customer": customer["id"]})
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
            "email": email,
            "individual_name": None,
            "name": None,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
    }
    books.put(session)
    event.tell(books, "checkout.session.completed", session)
    return session


def _fail(books: Books, intent: Json, failure: tuple[str, str], details: Json, email: str) -> None:
    charge = charges.create(
        books, intent, status="failed", method=details, email=email, failure=failure
    )
    event.tell(books, "charge.failed", charge)
    _refuse(
        books,
        intent | {"latest_charge": charge["id"]},
        failure,
        kind="card_error",
        charge_id=charge["id"],
    )


def _refuse(
    books: Books, intent: Json, failure: tuple[str, str], *, kind: str, charge_id: str | None
) -> Json:
    error: Json = {"code": failure[0], "message": failure[1], "type": kind}
    if charge_id:
        error["charge"] = charge_id
    if failure is _DECLINED:
        error["decline_code"] = "generic_decline"
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": error,
    }
    books.put(intent)
    event.tell(books, "payment_intent.payment_failed", intent)
    return intent
