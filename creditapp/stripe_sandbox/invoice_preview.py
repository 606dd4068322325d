"""What a subscription will cost: the same sums as the bill itself, and nothing is billed."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import store, subscription_starts, subscription_updates
from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.store import Books, Json

KIND = "preview"
"""A kind of the sandbox's own, which is in no list: the lines of a long preview."""


def preview(books: Books, given: dict[str, Any]) -> Json:
    """Return the invoice that a change would bring now, or the next one there is."""
    subscription = _subscription(books, given)
    details = given.get("subscription_details", {})
    if details.get("items"):
        repricing = subscription_updates.reprice(
            books, subscription, details, "subscription_details[%s]"
        )
        subscription = subscription | repricing.changes
        if repricing.at_once:
            return _unseen(books, subscription_updates.draft_of(books, subscription, repricing))
    if subscription["status"] in subscriptions.ENDED or subscription["cancel_at_period_end"]:
        raise Refused(
            f"No upcoming invoices for customer: {subscription['customer']}",
            status=404,
            code="invoice_upcoming_none",
        )
    return _unseen(
        books, subscription_starts.next_period(books, subscription, reason="upcoming")[1]
    )


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


def _unseen(books: Books, draft: Json) -> Json:
    """Return a draft under a preview's id; keep its lines where it does not show them all."""
    name = f"upcoming_{draft['id']}"
    data = [line | {"invoice": name} for line in draft["lines"]["data"]]
    lines = draft["lines"] | {"data": data, "url": f"/v1/invoices/{name}/lines"}
    if len(data) > store.LINES_EMBEDDED_MAX:
        books.put({"id": name, "object": KIND, "lines": lines})
    return draft | {"id": name, "lines": lines}
