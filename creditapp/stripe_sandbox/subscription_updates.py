"""Changes of a running subscription: another price, another card, an end, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from creditapp.stripe_sandbox import dunning, subscription_starts
from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.objects import invoice as invoices
from creditapp.stripe_sandbox.objects import invoice_line
from creditapp.stripe_sandbox.objects import payment_method as methods
from creditapp.stripe_sandbox.objects import subscription as subscriptions
from creditapp.stripe_sandbox.objects.customer import merged
from creditapp.stripe_sandbox.store import Books, Json


@dataclass(frozen=True)
class Repricing:
    """What other prices or quantities make of a subscription."""

    changes: Json
    """What the subscription becomes."""
    lines: list[Json]
    """What is billed for it."""
    at_once: bool
    """Whether it is billed now, or with the next period."""
    proration_date: int | None
    whole_period: bool = False
    """Whether a period begins with the change and is billed in full."""


def update(books: Books, subscription: Json, given: dict[str, Any]) -> Json:
    """Change a subscription as the API asks; bill what that costs; return it."""
    if subscription["status"] in subscriptions.ENDED and set(given) - {"metadata"}:
        raise Refused(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )
    changes = _plain_changes(books, subscription, given)
    if not given.get("items"):
        return subscriptions.change(books, subscription, changes)
    repricing = reprice(books, subscription | changes, given)
    changes |= repricing.changes
    if (subscription | changes)["cancel_at_period_end"]:
        changes["cancel_at"] = subscriptions.period_of(subscription | changes)[1]
    subscription = subscriptions.change(books, subscription, changes)
    if not repricing.at_once:
        return subscription
    draft = draft_of(books, subscription, repricing)
    if repricing.whole_period:
        billed = subscription_starts.billed_for(subscription, draft)
        subscription = subscriptions.change(books, subscription, {"_billed": billed})
    return dunning.bill(
        books,
        subscription,
        draft,
        strict=given.get("payment_behavior") == "error_if_incomplete",
    )


def draft_of(books: Books, subscription: Json, repricing: Repricing) -> Json:
    """Return the invoice of a change, which nobody has seen yet."""
    return invoices.draft(
        books,
        subscription,
        repricing.lines,
        reason="subscription_update",
        period=(books.now, books.now),
        proration_date=repricing.proration_date,
    )


def reprice(
    books: Books, subscription: Json, given: dict[str, Any], outer: str = "%s"
) -> Repricing:
    """Return what new items make of a subscription and what they cost; nothing is stored.

    ``outer`` is how the parameters of the request are called, for the refusals.
    """
    old_items = subscription["items"]["data"]
    items = _changed_items(books, old_items, given["items"], outer % "items")
    old, new = old_items[0]["price"], items[0]["price"]
    behavior = given.get("proration_behavior", "create_prorations")
    date = given.get("proration_date", books.now)
    start, end = subscriptions.period_of(subscription)
    if not start <= date <= end:
        raise Refused(
            "Cannot specify a `proration_date` outside of the subscription's current period.",
            param=outer % "proration_date",
        )
    trial = subscription["status"] == "trialing"
    other_interval = _interval(old) != _interval(new) and not trial
    prorates = behavior != "none" and not trial
    credits = _unused(books, subscription, items, date, all_of=other_interval) if prorates else []
    pending = subscription["_pending"]
    if other_interval:
        changes = subscriptions.in_period(subscription, books.now, books.now, items)
        moved = subscription | changes
        lines = [*pending, *credits, *subscription_starts.lines_of_period(books, moved)]
        changes |= {"_pending": []}
        since = date if prorates else None
        return Repricing(changes, lines, at_once=True, proration_date=since, whole_period=True)
    changes = subscriptions.with_items(subscription, items)
    if not prorates:
        return Repricing(changes, [], at_once=False, proration_date=None)
    lines = [*credits, *_remaining(books, subscription, items, date)]
    changes |= {"_billed": subscription_starts.billed_for(subscription | changes)}
    if behavior == "always_invoice" and lines:
        changes |= {"_pending": []}
        return Repricing(changes, [*pending, *lines], at_once=True, proration_date=date)
    changes |= {"_pending": [*pending, *lines]}
    return Repricing(changes, [], at_once=False, proration_date=None)


def _plain_changes(books: Books, subscription: Json, given: dict[str, Any]) -> Json:
    changes: Json = {}
    if "metadata" in given:
        changes["metadata"] = merged(subscription["metadata"], given["metadata"])
    if "description" in given:
        changes["description"] = given["description"]
    if "default_payment_method" in given:
        method = methods.of_customer(
            books,
            given["default_payment_method"],
            subscription["customer"],
            param="default_payment_method",
        )
        changes["default_payment_method"] = method["id"]
    if "cancel_at_period_end" in given:
        wanted = given["cancel_at_period_end"]
        if wanted != subscription["cancel_at_period_end"]:
            changes |= subscriptions.cancelling(subscription, wanted, books.now)
    if "cancellation_details" in given:
        details: Json = (subscription | changes)["cancellation_details"]
        changes["cancellation_details"] = {**details, **given["cancellation_details"]}
    return changes


def _changed_items(
    books: Books, items: list[Json], given: list[dict[str, Any]], outer: str
) -> list[Json]:
    wanted: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(given):
        name = f"{outer}[{number}]"
        if "id" not in each:
            raise Refused(
                "This sandbox adds no items to a subscription: name the one to change with its id.",
                param=f"{name}[id]",
            )
        if each["id"] not in {item["id"] for item in items}:
            raise missing_object("subscription_item", each["id"], param=f"{name}[id]")
        wanted[each["id"]] = each | {"_name": name}
    changed = [_changed_item(books, item, wanted.get(item["id"], {})) for item in items]
    if len({_interval(item["price"]) for item in changed}) > 1:
        raise Refused(
            "All prices of a subscription must have the same `interval` and `interval_count`.",
            param=outer,
        )
    return changed


def _changed_item(books: Books, item: Json, given: dict[str, Any]) -> Json:
    price = item["price"]
    if "price" in given:
        param = f"{given['_name']}[price]"
        found = books.get("price", given["price"])
        if found is None:
            raise missing_object("price", given["price"], param=param)
        if found["recurring"] is None:
            raise Refused(
                "The price specified is set to `type=one_time` but this field only accepts prices"
                " with `type=recurring`.",
                param=param,
            )
        if not found["active"] and found["id"] != price["id"]:
            raise Refused(
                "The price specified is inactive. This field only accepts active prices.",
                param=param,
            )
        if found["currency"] != price["currency"]:
            raise Refused(
                "The price specified does not match the subscription's currency.", param=param
            )
        price = found
    quantity: int = given.get("quantity") or item["quantity"]
    return subscriptions.at_price(item, price, quantity)


def _unused(
    books: Books, subscription: Json, items: list[Json], date: int, *, all_of: bool
) -> list[Json]:
    """Return lines that give back what is unused of what was billed for each changed item."""
    lines = []
    for before, after in zip(subscription["items"]["data"], items, strict=True):
        billed = subscription["_billed"].get(before["id"])
        if billed and (all_of or not _same(before, after)):
            lines.append(
                invoice_line.of_proration(
                    books,
                    subscription,
                    before,
                    price=billed["price"],
                    quantity=billed["quantity"],
                    whole=billed["paid"],
                    since=date,
                    unused=True,
                )
            )
    return lines


def _remaining(books: Books, subscription: Json, items: list[Json], date: int) -> list[Json]:
    """Return lines that bill the rest of the period for each changed item."""
    return [
        invoice_line.of_proration(
            books,
            subscription,
            after,
            price=after["price"],
            quantity=after["quantity"],
            whole=after["price"]["unit_amount"] * after["quantity"],
            since=date,
            unused=False,
        )
        for before, after in zip(subscription["items"]["data"], items, strict=True)
        if not _same(before, after)
    ]


def _same(before: Json, after: Json) -> bool:
    return bool(
        before["price"]["id"] == after["price"]["id"] and before["quantity"] == after["quantity"]
    )


def _interval(price: Json) -> tuple[str, int]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]
