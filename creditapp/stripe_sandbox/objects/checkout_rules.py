"""What the parameters of a checkout must keep to among each other."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.store import Json

MINIMUM_MINOR = 50
"""Stripe takes no payment below about half a dollar."""

_OF_MODE = {
    "payment": ("payment_intent_data",),
    "setup": ("setup_intent_data",),
    "subscription": ("subscription_data", "payment_method_collection"),
}
"""Parameters that only one mode has."""


def refuse_what_does_not_fit(given: dict[str, Any]) -> None:
    """Refuse parameters that contradict each other, or that another one needs."""
    _refuse_of_other_modes(given)
    needed = ("success_url",) if given["mode"] == "setup" else ("line_items", "success_url")
    for name in needed:
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
    if mode == "subscription" and "customer_creation" in given:
        raise Refused(
            "`customer_creation` can only be used in `payment` and `setup` mode.",
            param="customer_creation",
        )
    if mode == "setup" and given.get("line_items"):
        raise Refused("You can not pass `line_items` in `setup` mode.", param="line_items")
    if mode == "setup" and "currency" not in given:
        raise Refused(
            "Missing required param: currency.", code="parameter_missing", param="currency"
        )
    for owner, names in _OF_MODE.items():
        for name in names:
            if owner != mode and name in given:
                raise Refused(f"You can not pass `{name}` in `{mode}` mode.", param=name)


def refuse_prices_that_do_not_fit(given: dict[str, Any], items: list[Json]) -> None:
    """Refuse prices of the wrong kind, of several currencies or intervals, or too small."""
    mode = given["mode"]
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
    currencies = {item["currency"] for item in items}
    if "currency" in given and items and currencies != {given["currency"].lower()}:
        raise Refused("The prices do not have the `currency` of the request.", param="currency")
    if len(currencies) > 1:
        raise Refused("The price currencies must be the same for all line items.")
    if 0 < sum(item["amount_total"] for item in items) < MINIMUM_MINOR:
        raise Refused(
            "The Checkout Session's total amount due must add up to at least 0.50 usd",
            code="amount_too_small",
        )
