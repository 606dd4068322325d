"""What the overview shows: the newest payments and events, and the state of the post."""

from __future__ import annotations

import time
from typing import Any

from creditapp.stripe_sandbox import payment as stripe_sandbox_payment
from creditapp.stripe_sandbox.formatting import every, money
from creditapp.stripe_sandbox.objects import event, invoice_line, invoice_payment
from creditapp.stripe_sandbox.objects.subscription import ENDED, period_of
from creditapp.stripe_sandbox.store import Books, Json

PAYMENTS_SHOWN = 25
EVENTS_SHOWN = 30

MODES = (
    ("send", "Send", "Webhooks go out at once and are tried again when the shop fails."),
    ("hold", "Hold", "Webhooks wait until you let them go."),
    ("drop", "Never", "Webhooks of what happens from now on are not sent."),
)

SAID = {
    "expired": "The checkout has expired.",
    "settled": "The bank has answered.",
    "refunded": "The refund is made.",
    "refund-failed": "The refund came back.",
    "disputed": "The payment is disputed.",
    "dispute-closed": "The dispute is closed.",
    "sent": "The event is in the post.",
    "mode-changed": "The webhooks are set.",
    "clock-moved": "The clock is moved on, and what fell due has happened.",
    "subscription-ended": "The subscription has ended.",
    "renewed": "The clock is at the end of the period.",
    "declines-next": "The next renewal will be declined once.",
    "delivering": "Everything held or waiting goes out now.",
    "refused": "Nothing was done: the payment is in another state, or the value does not fit.",
}

_STATUS = {
    "open": ("open", "Open"),
    "expired": ("quiet", "Expired"),
    "paid": ("good", "Paid"),
    "no_payment_required": ("good", "Nothing to pay"),
    "processing": ("open", "On its way"),
    "failed": ("bad", "Did not arrive"),
    "refunded": ("quiet", "Refunded"),
    "partly-refunded": ("quiet", "Refunded in part"),
    "disputed": ("bad", "Disputed"),
    "invoice-paid": ("good", "Paid"),
    "invoice-open": ("bad", "Not paid"),
    "invoice-uncollectible": ("bad", "Given up"),
    "subscription-active": ("good", "Active"),
    "subscription-trialing": ("open", "In its trial"),
    "subscription-past_due": ("bad", "Not paid"),
    "subscription-canceled": ("quiet", "Ended"),
}


def read(books: Books) -> dict[str, Any]:
    """Return everything the page needs."""
    return {
        "mode": event.mode(books),
        "now": books.now,
        "ahead": books.now - int(time.time()) >= 60,
        "subscriptions": [
            subscription_of(books, subscription)
            for subscription in books.find("subscription", limit=PAYMENTS_SHOWN)
        ],
        "payments": _payments(books),
        "events": [
            {"event": told, "deliveries": deliveries_of(books, told["id"])}
            for told in books.find("event", limit=EVENTS_SHOWN)
        ],
        "post": _post(books),
    }


def _payments(books: Books) -> list[dict[str, Any]]:
    """Return checkouts, and the invoices that no checkout paid, the newest first."""
    later: dict[str, object] = {"billing_reason": ["subscription_cycle", "subscription_update"]}
    shown = [
        *(
            _of_checkout(books, each)
            for each in books.find("checkout.session", limit=PAYMENTS_SHOWN)
        ),
        *(_of_invoice(books, each) for each in books.find("invoice", later, limit=PAYMENTS_SHOWN)),
    ]
    return sorted(shown, key=lambda each: each["created"], reverse=True)[:PAYMENTS_SHOWN]


def deliveries_of(books: Books, event_id: str) -> list[Json]:
    """Return the deliveries of an event in the order they were posted."""
    rows = books.connection.execute(
        "SELECT * FROM deliveries WHERE event_id = ? ORDER BY id", (event_id,)
    ).fetchall()
    return [_delivery(dict(row)) for row in rows]


def _delivery(row: Json) -> Json:
    answer = f"HTTP {row['last_status']}" if row["last_status"] else row["last_error"]
    wait = max(0, round(row["due_at"] - time.time()))
    return row | {"answer": answer, "wait": wait}


def _post(books: Books) -> dict[str, int]:
    rows = books.connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
    counts = {row[0]: row[1] for row in rows}
    waiting = counts.get("waiting", 0) + counts.get("sending", 0)
    return {
        "waiting": waiting,
        **{state: counts.get(state, 0) for state in ("held", "delivered", "failed", "dropped")},
    }


def _of_checkout(books: Books, session: Json) -> dict[str, Any]:
    intent = stripe_sandbox_payment.intent_of(books, session)
    charge = books.get("charge", (intent or {}).get("latest_charge") or "")
    sold = [item["description"] or "Item" for item in session["_line_items"]]
    title = ", ".join(sold) or "A saved card"
    about = {
        "session": session,
        "amount": session["amount_total"] or 0,
        "email": session["_email"],
        "code": f"{session['id'][:16]}…{session['id'][-6:]}",
    }
    state = _state_of_checkout(session, intent, charge)
    return _entry(books, session, intent, charge, title=title, state=state) | about


def _of_invoice(books: Books, invoice: Json) -> dict[str, Any]:
    payment = invoice_payment.of_invoice(books, invoice)
    named = payment["payment"]["payment_intent"] if payment else ""
    intent = books.get("payment_intent", named)
    charge = books.get("charge", (intent or {}).get("latest_charge") or "")
    title = invoice["lines"]["data"][-1]["description"]
    about = {
        "session": None,
        "amount": invoice["total"],
        "email": invoice["customer_email"],
        "code": invoice["number"],
    }
    state = _state_of_charge(charge) or f"invoice-{invoice['status']}"
    return _entry(books, invoice, intent, charge, title=title, state=state) | about


def _entry(
    books: Books,
    paid: Json,
    intent: Json | None,
    charge: Json | None,
    *,
    title: str,
    state: str,
) -> dict[str, Any]:
    tone, word = _STATUS[state]
    return {
        "intent": intent,
        "charge": charge,
        "title": title,
        "created": paid["created"],
        "currency": paid["currency"],
        "refunds": books.find("refund", {"charge": charge["id"]}) if charge else [],
        "disputes": books.find("dispute", {"charge": charge["id"]}) if charge else [],
        "tone": tone,
        "word": word,
        "refundable": bool(
            charge
            and charge["status"] == "succeeded"
            and not charge["disputed"]
            and charge["amount_refunded"] < charge["amount"]
        ),
    }


def _state_of_charge(charge: Json | None) -> str | None:
    if charge and charge["disputed"]:
        return "disputed"
    if charge and charge["amount_refunded"]:
        return "refunded" if charge["refunded"] else "partly-refunded"
    return None


def _state_of_checkout(session: Json, intent: Json | None, charge: Json | None) -> str:
    if session["status"] != "complete":
        return str(session["status"])
    if session["payment_status"] == "unpaid":
        return "processing" if intent and intent["status"] == "processing" else "failed"
    return _state_of_charge(charge) or str(session["payment_status"])


def subscription_of(books: Books, subscription: Json) -> dict[str, Any]:
    """Return what a page shows of a subscription."""
    customer = books.get("customer", subscription["customer"])
    tone, word = _STATUS[f"subscription-{subscription['status']}"]
    method = books.get("payment_method", subscription["default_payment_method"] or "")
    return {
        "subscription": subscription,
        "title": title_of(books, subscription),
        "email": customer["email"] if customer else None,
        "card": method["card"]["last4"] if method else None,
        "period_end": period_of(subscription)[1],
        "running": subscription["status"] not in ENDED,
        "tone": tone,
        "word": word,
    }


def title_of(books: Books, subscription: Json) -> str:
    """Return what a subscription is to, and at which price."""
    items = subscription["items"]["data"]
    if len(items) == 1 and items[0]["quantity"] == 1:
        return price_title(books, items[0]["price"])
    total = sum(item["price"]["unit_amount"] * item["quantity"] for item in items)
    names = ", ".join(invoice_line.name_of(books, item["price"]) for item in items)
    price = items[0]["price"]
    return f"{names}, {money(total, price['currency'])} {every(price['recurring'])}"


def price_title(books: Books, price: Json) -> str:
    """Return what a price sells, and for how much."""
    cost = f"{money(price['unit_amount'], price['currency'])} {every(price['recurring'])}"
    return f"{invoice_line.name_of(books, price)}, {cost}"
