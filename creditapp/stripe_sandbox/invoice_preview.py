"""Invoice preview: the amounts that a subscription change would bill, without billing them."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import subscription_lifecycle, subscription_updates
from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.store import Json, Store, public

KIND = "preview"
"""The sandbox's own object type for the lines of a long preview; the API does not list it."""


def preview(store: Store, params: dict[str, Any]) -> Json:
    """Return the invoice that a change would create now, or else the next invoice."""
    subscription = _subscription(store, params)
    details = params.get("subscription_details", {})
    if details.get("items"):
        repricing = subscription_updates.reprice(
            store, subscription, details, "subscription_details[%s]"
        )
        subscription = subscription | repricing.changes
        if repricing.bill_now:
            return _as_preview(
                store, subscription_updates.draft_invoice(store, subscription, repricing)
            )
    cancel_at, period_end = subscription["cancel_at"], subscriptions.period_of(subscription)[1]
    ends_before = cancel_at is not None and cancel_at <= period_end
    if subscription["status"] in subscriptions.ENDED or ends_before:
        raise StripeAPIError(
            f"No upcoming invoices for customer: {subscription['customer']}",
            status=404,
            code="invoice_upcoming_none",
        )
    return _as_preview(
        store, subscription_lifecycle.next_period(store, subscription, reason="upcoming")[1]
    )


def _subscription(store: Store, params: dict[str, Any]) -> Json:
    customer = params.get("customer")
    if params.get("subscription"):
        subscription = store.get("subscription", params["subscription"])
        if subscription is None or customer not in (None, subscription["customer"]):
            raise missing_object("subscription", params["subscription"], param="subscription")
        return subscription
    if customer is None:
        raise StripeAPIError(
            "You must provide either `customer` or `subscription`.",
            code="parameter_missing",
            param="customer",
        )
    where = {"customer": customer, "status": list(subscriptions.RUNNING)}
    subscriptions_found = store.find("subscription", where, limit=1)
    if not subscriptions_found:
        raise StripeAPIError(
            f"No upcoming invoices for customer: {customer}",
            status=404,
            code="invoice_upcoming_none",
        )
    return subscriptions_found[0]


def _as_preview(store: Store, draft: Json) -> Json:
    """Return a draft with a preview id; store its lines if it does not include them all."""
    preview_id = f"upcoming_{draft['id']}"
    data = [line | {"invoice": preview_id} for line in draft["lines"]["data"]]
    lines = draft["lines"] | {"data": data, "url": f"/v1/invoices/{preview_id}/lines"}
    if public(draft)["lines"]["has_more"]:
        store.put({"id": preview_id, "object": KIND, "lines": lines})
    return draft | {"id": preview_id, "lines": lines}
