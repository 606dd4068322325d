"""Updates of a running subscription: price, payment method, cancellation, and proration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from creditapp.stripe_sandbox import dunning, subscription_lifecycle
from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.objects import invoice as invoices
from creditapp.stripe_sandbox.objects import invoice_line
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.objects.customer import merge_metadata
from creditapp.stripe_sandbox.store import Json, Store


@dataclass(frozen=True)
class Repricing:
    """The result of a change of prices or quantities."""

    changes: Json
    """Changed fields of the subscription."""
    lines: list[Json]
    """Invoice lines of the change."""
    bill_now: bool
    """Whether the change is billed now or with the next period."""
    proration_date: int | None
    whole_period: bool = False
    """Whether a new period starts with the change and is billed in full."""


def update(store: Store, subscription: Json, params: dict[str, Any]) -> Json:
    """Update a subscription, bill the change, and return it."""
    if subscription["status"] in subscriptions.ENDED and set(params) - {"metadata"}:
        raise StripeAPIError(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )
    changes = _field_changes(store, subscription, params)
    if not params.get("items"):
        return subscriptions.change(store, subscription, changes)
    repricing = reprice(store, subscription | changes, params)
    changes |= repricing.changes
    if (subscription | changes)["cancel_at_period_end"]:
        changes["cancel_at"] = subscriptions.period_of(subscription | changes)[1]
    subscription = subscriptions.change(store, subscription, changes)
    if not repricing.bill_now:
        return subscription
    draft = draft_invoice(store, subscription, repricing)
    if repricing.whole_period:
        billed = subscription_lifecycle.billed_amounts(store, subscription, store.now, draft)
        subscription = subscriptions.change(store, subscription, {"_billed": billed})
    return dunning.bill(
        store, subscription, draft, strict=params.get("payment_behavior") == "error_if_incomplete"
    )


def draft_invoice(store: Store, subscription: Json, repricing: Repricing) -> Json:
    """Return the draft invoice of a change."""
    return invoices.draft(
        store,
        subscription,
        repricing.lines,
        reason="subscription_update",
        period=(store.now, store.now),
        proration_date=repricing.proration_date,
    )


def reprice(
    store: Store, subscription: Json, params: dict[str, Any], param_format: str = "%s"
) -> Repricing:
    """Return the changes and invoice lines of new items; store nothing.

    ``param_format`` formats parameter names in errors.
    """
    old_items = subscription["items"]["data"]
    items = _changed_items(store, old_items, params["items"], param_format % "items")
    old, new = old_items[0]["price"], items[0]["price"]
    behavior = params.get("proration_behavior", "create_prorations")
    date = params.get("proration_date", store.now)
    start, end = subscriptions.period_of(subscription)
    if not start <= date <= end:
        raise StripeAPIError(
            "Cannot specify a `proration_date` outside of the subscription's current period.",
            param=param_format % "proration_date",
        )
    trial = subscription["status"] == "trialing"
    interval_changes = _interval(old) != _interval(new) and not trial
    prorates = behavior != "none" and not trial
    credits = (
        _unused_time_credits(store, subscription, items, date, all_of=interval_changes)
        if prorates
        else []
    )
    pending = subscription["_pending"]
    if interval_changes:
        changes = subscriptions.period_changes(subscription, store.now, store.now, items)
        moved = subscription | changes
        lines = [*pending, *credits, *subscription_lifecycle.period_lines(store, moved)]
        changes |= {"_pending": []}
        proration_date = date if prorates else None
        return Repricing(
            changes, lines, bill_now=True, proration_date=proration_date, whole_period=True
        )
    changes = subscriptions.item_changes(subscription, items)
    if not prorates:
        return Repricing(changes, [], bill_now=False, proration_date=None)
    billed = subscription_lifecycle.billed_amounts(store, subscription | changes, date)
    remaining = _remaining_time_lines(store, subscription, items, billed, date)
    for line in remaining:
        item_id = line["parent"]["subscription_item_details"]["subscription_item"]
        billed[item_id]["lines"] = [line["id"]]
    lines = [*credits, *remaining]
    changes |= {"_billed": _keep_unchanged(subscription, items, billed)}
    if behavior == "always_invoice" and lines:
        changes |= {"_pending": []}
        return Repricing(changes, [*pending, *lines], bill_now=True, proration_date=date)
    changes |= {"_pending": [*pending, *lines]}
    return Repricing(changes, [], bill_now=False, proration_date=None)


def _field_changes(store: Store, subscription: Json, params: dict[str, Any]) -> Json:
    changes: Json = {}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(subscription["metadata"], params["metadata"])
    if "description" in params:
        changes["description"] = params["description"]
    if "default_payment_method" in params:
        method = methods.of_customer(
            store,
            params["default_payment_method"],
            subscription["customer"],
            param="default_payment_method",
        )
        changes["default_payment_method"] = method["id"]
    changes |= _cancellation_changes(store, subscription, params)
    if "cancellation_details" in params:
        details: Json = (subscription | changes)["cancellation_details"]
        changes["cancellation_details"] = {**details, **params["cancellation_details"]}
    return changes


def _cancellation_changes(store: Store, subscription: Json, params: dict[str, Any]) -> Json:
    """Return the changes of a cancellation; the boolean takes back only its own."""
    if "cancel_at" in params:
        if "cancel_at_period_end" in params:
            raise StripeAPIError(
                "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
                param="cancel_at",
            )
        moment = params["cancel_at"]
        if moment is not None and moment <= store.now:
            raise StripeAPIError(
                "`cancel_at` must be a timestamp in the future.", param="cancel_at"
            )
        return subscriptions.cancellation_changes(subscription, moment, store.now)
    at_period_end = params.get("cancel_at_period_end")
    if at_period_end in (None, subscription["cancel_at_period_end"]):
        return {}
    moment = subscriptions.period_of(subscription)[1] if at_period_end else None
    return subscriptions.cancellation_changes(
        subscription, moment, store.now, at_period_end=bool(at_period_end)
    )


def _changed_items(
    store: Store, items: list[Json], params: list[dict[str, Any]], param_format: str
) -> list[Json]:
    requested: dict[str, dict[str, Any]] = {}
    for number, item_params in enumerate(params):
        name = f"{param_format}[{number}]"
        if "id" not in item_params:
            raise StripeAPIError(
                "This sandbox adds no items to a subscription: name the one to change with its id.",
                param=f"{name}[id]",
            )
        if item_params["id"] not in {item["id"] for item in items}:
            raise missing_object("subscription_item", item_params["id"], param=f"{name}[id]")
        requested[item_params["id"]] = item_params | {"_name": name}
    changed = [_changed_item(store, item, requested.get(item["id"], {})) for item in items]
    if len({_interval(item["price"]) for item in changed}) > 1:
        raise StripeAPIError(
            "All prices of a subscription must have the same `interval` and `interval_count`.",
            param=param_format,
        )
    return changed


def _changed_item(store: Store, item: Json, params: dict[str, Any]) -> Json:
    price = item["price"]
    if "price" in params:
        param = f"{params['_name']}[price]"
        new_price = store.get("price", params["price"])
        if new_price is None:
            raise missing_object("price", params["price"], param=param)
        if new_price["recurring"] is None:
            raise StripeAPIError(
                "The price specified is set to `type=one_time` but this field only accepts prices"
                " with `type=recurring`.",
                param=param,
            )
        if not new_price["active"] and new_price["id"] != price["id"]:
            raise StripeAPIError(
                "The price specified is inactive. This field only accepts active prices.",
                param=param,
            )
        if new_price["currency"] != price["currency"]:
            raise StripeAPIError(
                "The price specified does not match the subscription's currency.", param=param
            )
        price = new_price
    quantity: int = params.get("quantity") or item["quantity"]
    return subscriptions.with_price(item, price, quantity)


def _unused_time_credits(
    store: Store, subscription: Json, items: list[Json], date: int, *, all_of: bool
) -> list[Json]:
    """Return credit lines for the unused time of each changed item."""
    lines = []
    for before, after in zip(subscription["items"]["data"], items, strict=True):
        billed = subscription["_billed"].get(before["id"])
        if billed and (all_of or not _is_unchanged(before, after)):
            lines.append(
                invoice_line.of_proration(
                    store, subscription, before, billed=billed, since=date, unused=True
                )
            )
    return lines


def _remaining_time_lines(
    store: Store, subscription: Json, items: list[Json], billed: Json, date: int
) -> list[Json]:
    """Return lines that bill the remaining time of each changed item."""
    return [
        invoice_line.of_proration(
            store, subscription, after, billed=billed[after["id"]], since=date, unused=False
        )
        for before, after in zip(subscription["items"]["data"], items, strict=True)
        if not _is_unchanged(before, after)
    ]


def _keep_unchanged(subscription: Json, items: list[Json], billed: Json) -> Json:
    """Return the billed amounts after a change, which are as before for the other items."""
    unchanged = {
        before["id"]
        for before, after in zip(subscription["items"]["data"], items, strict=True)
        if _is_unchanged(before, after) and before["id"] in subscription["_billed"]
    }
    return billed | {item_id: subscription["_billed"][item_id] for item_id in unchanged}


def _is_unchanged(before: Json, after: Json) -> bool:
    return bool(
        before["price"]["id"] == after["price"]["id"] and before["quantity"] == after["quantity"]
    )


def _interval(price: Json) -> tuple[str, int]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]
