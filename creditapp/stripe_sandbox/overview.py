"""Data of the overview page: newest payments, subscriptions, events and deliveries."""

from __future__ import annotations

import time
from typing import Any

from creditapp.stripe_sandbox import checkout
from creditapp.stripe_sandbox.formatting import billing_interval, money
from creditapp.stripe_sandbox.objects import event, invoice_line, invoice_payment
from creditapp.stripe_sandbox.objects.subscription import ENDED, period_of
from creditapp.stripe_sandbox.store import Json, Store

PAYMENTS_SHOWN = 25
EVENTS_SHOWN = 30

MODES = (
    ("send", "Send", "Webhooks are sent at once and retried when the shop fails."),
    ("hold", "Hold", "Webhooks wait until you release them."),
    ("drop", "Never", "Webhooks of new events are not sent."),
)

MESSAGES = {
    "expired": "The checkout has expired.",
    "settled": "The bank has answered.",
    "refunded": "The refund succeeded.",
    "refund-failed": "The refund failed.",
    "disputed": "The payment is disputed.",
    "dispute-closed": "The dispute is closed.",
    "sent": "The event is queued for delivery.",
    "mode-changed": "The webhook mode is set.",
    "clock-moved": "The clock was advanced, and all due work was run.",
    "subscription-ended": "The subscription has ended.",
    "renewed": "The clock is at the end of the period.",
    "declines-next": "The next renewal will be declined once.",
    "delivering": "All held and waiting webhooks are being sent.",
    "refused": "Nothing was done: the payment is in another state, or the value is invalid.",
}

_STATUS = {
    "open": ("open", "Open"),
    "expired": ("quiet", "Expired"),
    "paid": ("good", "Paid"),
    "no_payment_required": ("good", "Nothing to pay"),
    "processing": ("open", "Processing"),
    "failed": ("bad", "Failed"),
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


def overview_context(store: Store) -> dict[str, Any]:
    """Return the template context of the overview page."""
    return {
        "mode": event.mode(store),
        "now": store.now,
        "ahead": store.now - int(time.time()) >= 60,
        "subscriptions": [
            subscription_row(store, subscription)
            for subscription in store.find("subscription", limit=PAYMENTS_SHOWN)
        ],
        "payments": _payments(store),
        "events": [
            {"event": item, "deliveries": event_deliveries(store, item["id"])}
            for item in store.find("event", limit=EVENTS_SHOWN)
        ],
        "delivery_counts": _delivery_counts(store),
    }


def _payments(store: Store) -> list[dict[str, Any]]:
    """Return checkouts, and invoices that were not paid by a checkout, newest first."""
    not_from_checkout: dict[str, object] = {
        "billing_reason": ["subscription_cycle", "subscription_update"]
    }
    rows = [
        *(
            _checkout_row(store, session)
            for session in store.find("checkout.session", limit=PAYMENTS_SHOWN)
        ),
        *(
            _invoice_row(store, invoice)
            for invoice in store.find("invoice", not_from_checkout, limit=PAYMENTS_SHOWN)
        ),
    ]
    return sorted(rows, key=lambda row: row["created"], reverse=True)[:PAYMENTS_SHOWN]


def event_deliveries(store: Store, event_id: str) -> list[Json]:
    """Return the deliveries of an event in the order they were queued."""
    rows = store.connection.execute(
        "SELECT * FROM deliveries WHERE event_id = ? ORDER BY id", (event_id,)
    ).fetchall()
    return [_delivery(dict(row)) for row in rows]


def _delivery(row: Json) -> Json:
    answer = f"HTTP {row['last_status']}" if row["last_status"] else row["last_error"]
    wait = max(0, round(row["due_at"] - time.time()))
    return row | {"answer": answer, "wait": wait}


def _delivery_counts(store: Store) -> dict[str, int]:
    rows = store.connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
    counts = {row[0]: row[1] for row in rows}
    waiting = counts.get("waiting", 0) + counts.get("sending", 0)
    return {
        "waiting": waiting,
        **{state: counts.get(state, 0) for state in ("held", "delivered", "failed", "dropped")},
    }


def _checkout_row(store: Store, session: Json) -> dict[str, Any]:
    intent = checkout.intent_of(store, session)
    charge = store.get("charge", (intent or {}).get("latest_charge") or "")
    descriptions = [item["description"] or "Item" for item in session["_line_items"]]
    title = ", ".join(descriptions) or "A saved card"
    about = {
        "session": session,
        "amount": session["amount_total"] or 0,
        "email": session["_email"],
        "code": f"{session['id'][:16]}…{session['id'][-6:]}",
    }
    state = _checkout_state(session, intent, charge)
    return _payment_row(store, session, intent, charge, title=title, state=state) | about


def _invoice_row(store: Store, invoice: Json) -> dict[str, Any]:
    payment = invoice_payment.of_invoice(store, invoice)
    intent_id = payment["payment"]["payment_intent"] if payment else ""
    intent = store.get("payment_intent", intent_id)
    charge = store.get("charge", (intent or {}).get("latest_charge") or "")
    title = invoice["lines"]["data"][-1]["description"]
    about = {
        "session": None,
        "amount": invoice["total"],
        "email": invoice["customer_email"],
        "code": invoice["number"],
    }
    state = _charge_state(charge) or f"invoice-{invoice['status']}"
    return _payment_row(store, invoice, intent, charge, title=title, state=state) | about


def _payment_row(
    store: Store, source: Json, intent: Json | None, charge: Json | None, *, title: str, state: str
) -> dict[str, Any]:
    tone, word = _STATUS[state]
    return {
        "intent": intent,
        "charge": charge,
        "title": title,
        "created": source["created"],
        "currency": source["currency"],
        "refunds": store.find("refund", {"charge": charge["id"]}) if charge else [],
        "disputes": store.find("dispute", {"charge": charge["id"]}) if charge else [],
        "tone": tone,
        "word": word,
        "refundable": bool(
            charge
            and charge["status"] == "succeeded"
            and not charge["disputed"]
            and charge["amount_refunded"] < charge["amount"]
        ),
    }


def _charge_state(charge: Json | None) -> str | None:
    if charge and charge["disputed"]:
        return "disputed"
    if charge and charge["amount_refunded"]:
        return "refunded" if charge["refunded"] else "partly-refunded"
    return None


def _checkout_state(session: Json, intent: Json | None, charge: Json | None) -> str:
    if session["status"] != "complete":
        return str(session["status"])
    if session["payment_status"] == "unpaid":
        return "processing" if intent and intent["status"] == "processing" else "failed"
    return _charge_state(charge) or str(session["payment_status"])


def subscription_row(store: Store, subscription: Json) -> dict[str, Any]:
    """Return the data that pages show of a subscription."""
    customer = store.get("customer", subscription["customer"])
    tone, word = _STATUS[f"subscription-{subscription['status']}"]
    method = store.get("payment_method", subscription["default_payment_method"] or "")
    return {
        "subscription": subscription,
        "title": subscription_title(store, subscription),
        "email": customer["email"] if customer else None,
        "card": method["card"]["last4"] if method else None,
        "period_end": period_of(subscription)[1],
        "running": subscription["status"] not in ENDED,
        "tone": tone,
        "word": word,
    }


def subscription_title(store: Store, subscription: Json) -> str:
    """Return the products and the price of a subscription."""
    items = subscription["items"]["data"]
    if len(items) == 1 and items[0]["quantity"] == 1:
        return price_title(store, items[0]["price"])
    total = sum(item["price"]["unit_amount"] * item["quantity"] for item in items)
    names = ", ".join(invoice_line.name_of(store, item["price"]) for item in items)
    price = items[0]["price"]
    return f"{names}, {money(total, price['currency'])} {billing_interval(price['recurring'])}"


def price_title(store: Store, price: Json) -> str:
    """Return the product and the amount of a price."""
    cost = (
        f"{money(price['unit_amount'], price['currency'])} {billing_interval(price['recurring'])}"
    )
    return f"{invoice_line.name_of(store, price)}, {cost}"
