"""What the parameters of a checkout must keep to among each other."""

from __future__ import annotations

from typing import Any

from creditapp.payments.sandbox.errors import Refused
from creditapp.payments.sandbox.store import Json

MINIMUM_MINOR = 50
"""Stripe takes no payment below about half a dollar."""

_OF_MODE = {
    "payment": ("payment_intent_data", "customer_creation"),
    "subscription": ("subscription_data", "payment_method_collection"),
}
"""Parameters that only one mode has."""


def refuse_what_does_not_fit(given: dict[str, Any]) -> None:
    """Refuse parameters that contradict each other, or that another one needs."""
    _refuse_of_other_modes(given)
    for name in ("line_items", "success_url"):
        if not given.get(name):
            raise Refused(f"Missing required param: {name}.", code="parameter_missing", param=name)
    for other in ("customer_email", "customer_creation"):
        if given.get("customer") and given.get(other):
            raise Refused(
                f"You may only specify one of these parameters: customer, {other}.",
                code="parameters_exclusive",
                param="customer",
            )
    if given.get("customer_update") and not given.get("customer"):
        raise Refused(
            "`customer_update` can only be used with `customer`.", param="customer_update"
        )


def _refuse_of_other_modes(given: dict[str, Any]) -> None:
    mode = given["mode"]
    if mode not in _OF_MODE:
        raise Refused(f"This sandbox has no `{mode}` mode yet.", param="mode")
    for owner, names in _OF_MODE.items():
        for name in names:
            if owner != mode and name in given:
                raise Refused(f"You can not pass `{name}` in `{mode}` mode.", param=name)


def refuse_prices_that_do_not_fit(mode: str, items: list[Json]) -> None:
    """Refuse prices of the wrong kind, of several currencies or intervals, or too small."""
    recurring = [item["price"]["recurring"] for item in items if item["price"]["recurring"]]
    if mode == "payment" and recurring:
        raise Refused(
            "You specified `payment` mode but passed a recurring price. Either switch to"
            " `subscription` mode or use only one-time prices."
        )
    if mode == "subscription" and not recurring:
        raise Refused(
            "You must provide at least one recurring price in `subscription` mode when using"
            " prices."
        )
    if len({(each["interval"], each["interval_count"]) for each in recurring}) > 1:
        raise Refused("Checkout does not support multiple prices with different billing intervals.")
    if len({item["currency"] for item in items}) > 1:
        raise Refused("The price currencies must be the same for all line items.")
    if 0 < sum(item["amount_total"] for item in items) < MINIMUM_MINOR:
        raise Refused(
            "The Checkout Session's total amount due must add up to at least 0.50 usd",
            code="amount_too_small",
        )
