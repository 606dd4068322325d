"""Invoice lines: a billing period, a proration, or a one-time price."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.formatting import day, money
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Json, Store


def of_period(store: Store, subscription: Json, item: Json, *, free: bool = False) -> Json:
    """Return the line of an item's current period; a trial is free."""
    price, quantity = item["price"], item["quantity"]
    period = {"start": item["current_period_start"], "end": item["current_period_end"]}
    name = name_of(store, price)
    unit_price = money(price["unit_amount"], price["currency"])
    description = f"{quantity} × {name} (at {unit_price} / {_every(price)})"
    return _line(
        price,
        quantity,
        0 if free else price["unit_amount"] * quantity,
        description=f"Trial period for {name}" if free else description,
        period=period,
        parent=_of_item(subscription, item, proration=False),
    )


def of_proration(
    store: Store, subscription: Json, item: Json, *, billed: Json, since: int, unused: bool
) -> Json:
    """Return the line for the rest of a period, prorated by seconds; ``unused`` credits it.

    ``billed`` holds price and quantity, ``gross`` and ``net`` amount of the whole period, the
    ``discount`` between them, and the ``lines`` that billed it. As at Stripe, a proration is net
    of discounts, unless the subscription itemizes them.
    """
    start, finish = item["current_period_start"], item["current_period_end"]
    sign = -1 if unused else 1
    net = sign * _rounded(billed["net"] * (finish - since), finish - start)
    gross = sign * _rounded(billed["gross"] * (finish - since), finish - start)
    is_itemized = subscription["billing_mode"]["flexible"]["proration_discounts"] == "itemized"
    price, quantity = billed["price"], billed["quantity"]
    times = f"{quantity} × " if quantity != 1 else ""
    label = "Unused" if unused else "Remaining"
    line = _line(
        price,
        quantity,
        gross if is_itemized else net,
        description=f"{label} time on {times}{name_of(store, price)} after {day(since)}",
        period={"start": since, "end": finish},
        parent=_of_item(
            subscription,
            item,
            proration=True,
            credited=_credited_items(store, subscription, billed) if unused else None,
        ),
        discountable=False,
    )
    if billed["discount"] is not None:
        off = gross - net if is_itemized else 0
        line["discount_amounts"] = [{"amount": off, "discount": billed["discount"]}]
        line["discounts"] = [billed["discount"]]
    return line


def of_one_time_price(store: Store, subscription: Json, line_item: Json) -> Json:
    """Return the line of a one-time price on a subscription's first invoice."""
    details = {
        "invoice_item": new_id("ii_1"),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
    }
    return _line(
        line_item["price"],
        line_item["quantity"],
        line_item["amount_subtotal"],
        description=name_of(store, line_item["price"]),
        period={"start": store.now, "end": store.now},
        parent={
            "invoice_item_details": details,
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    )


def name_of(store: Store, price: Json) -> str:
    """Return the product name of a price."""
    product = store.get("product", price["product"])
    return product["name"] if product else "Item"


def _rounded(amount: int, parts: int) -> int:
    """Divide and round half up."""
    return (2 * amount + parts) // (2 * parts)


def _every(price: Json) -> str:
    count, interval = price["recurring"]["interval_count"], price["recurring"]["interval"]
    return str(interval) if count == 1 else f"every {count} {interval}s"


def _credited_items(store: Store, subscription: Json, billed: Json) -> Json | None:
    """Return the lines of an earlier invoice whose unused time is credited, or None."""
    where: dict[str, object] = {"parent.subscription_details.subscription": subscription["id"]}
    for invoice in store.find("invoice", where):
        ids = [line["id"] for line in invoice["lines"]["data"] if line["id"] in billed["lines"]]
        if ids:
            return {"invoice": invoice["id"], "invoice_line_items": ids}
    return None


def _of_item(
    subscription: Json, item: Json, *, proration: bool, credited: Json | None = None
) -> Json:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": new_id("ii_1") if proration else None,
            "proration": proration,
            "proration_details": {"credited_items": credited},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }


def _line(
    price: Json,
    quantity: int,
    amount: int,
    *,
    description: str,
    period: dict[str, int],
    parent: Json,
    discountable: bool = True,
) -> dict[str, Any]:
    details: Json = parent["subscription_item_details"] or parent["invoice_item_details"]
    return {
        "id": new_id("il_1"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": discountable,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": period,
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": details["subscription"],
        "subtotal": amount,
        "taxes": [],
    }
