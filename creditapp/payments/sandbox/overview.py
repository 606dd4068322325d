"""What the overview shows: the newest payments and events, and the state of the post."""

from __future__ import annotations

import time
from typing import Any

from creditapp.payments.sandbox.objects import event
from creditapp.payments.sandbox.store import Books, Json

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
}


def read(books: Books) -> dict[str, Any]:
    """Return everything the page needs."""
    return {
        "mode": event.mode(books),
        "payments": [
            _payment(books, session)
            for session in books.find("checkout.session", limit=PAYMENTS_SHOWN)
        ],
        "events": [
            {"event": told, "deliveries": deliveries_of(books, told["id"])}
            for told in books.find("event", limit=EVENTS_SHOWN)
        ],
        "post": _post(books),
    }


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


def _payment(books: Books, session: Json) -> dict[str, Any]:
    intent = books.get("payment_intent", session["payment_intent"] or "")
    charge = books.get("charge", (intent or {}).get("latest_charge") or "")
    disputes = books.find("dispute", {"charge": charge["id"]}) if charge else []
    tone, word = _STATUS[_state(session, intent, charge)]
    return {
        "session": session,
        "intent": intent,
        "charge": charge,
        "title": ", ".join(item["description"] or "Item" for item in session["_line_items"]),
        "refunds": books.find("refund", {"charge": charge["id"]}) if charge else [],
        "disputes": disputes,
        "tone": tone,
        "word": word,
        "refundable": bool(
            charge
            and charge["status"] == "succeeded"
            and not charge["disputed"]
            and charge["amount_refunded"] < charge["amount"]
        ),
    }


def _state(session: Json, intent: Json | None, charge: Json | None) -> str:
    if session["status"] != "complete":
        return str(session["status"])
    if charge and charge["disputed"]:
        return "disputed"
    if charge and charge["amount_refunded"]:
        return "refunded" if charge["refunded"] else "partly-refunded"
    if session["payment_status"] == "unpaid":
        return "processing" if intent and intent["status"] == "processing" else "failed"
    return str(session["payment_status"])
