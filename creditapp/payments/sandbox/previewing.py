"""What a subscription will cost: the same sums as the bill itself, and nothing is kept."""

from __future__ import annotations

from typing import Any

from creditapp.payments.sandbox import changing, subscribing
from creditapp.payments.sandbox.errors import Refused, missing_object
from creditapp.payments.sandbox.objects import subscription as subscriptions
from creditapp.payments.sandbox.store import Books, Json


def preview(books: Books, given: dict[str, Any]) -> Json:
    """Return the invoice that a change would bring now, or the next one there is."""
    subscription = _subscription(books, given)
    details = given.get("subscription_details", {})
    if details.get("items"):
        repricing = changing.reprice(books, subscription, details, "subscription_details[%s]")
        subscription = subscription | repricing.changes
        if repricing.at_once:
            return _unseen(changing.draft_of(books, subscription, repricing))
    if subscription["status"] in subscriptions.ENDED or subscription["cancel_at_period_end"]:
        raise Refused(
            f"No upcoming invoices for customer: {subscription['customer']}",
            status=404,
            code="invoice_upcoming_none",
        )
    return _unseen(subscribing.next_period(books, subscription, reason="upcoming")[1])


def _subscription(books: Books, given: dict[str, Any]) -> Json:
    customer = given.get("customer")
    if given.get("subscription"):
        subscription = books.get("subscription", given["subscription"])
        if subscription is None or customer not in (None, subscription["customer"]):
            raise missing_object("subscription", given["subscription"], param="subscription")
        return subscription
    if customer is None:
        raise Refused(
            "You must provide either `customer` or `subscription`.",
            code="parameter_missing",
            param="customer",
        )
    where = {"customer": customer, "status": list(subscriptions.RUNNING)}
    found = books.find("subscription", where, limit=1)
    if not found:
        raise Refused(
            f"No upcoming invoices for customer: {customer}",
            status=404,
            code="invoice_upcoming_none",
        )
    return found[0]


def _unseen(draft: Json) -> Json:
    name = f"upcoming_{draft['id']}"
    lines = [line | {"invoice": name} for line in draft["lines"]["data"]]
    return draft | {"id": name, "lines": {**draft["lines"], "data": lines}}
