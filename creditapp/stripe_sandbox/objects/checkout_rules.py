"""Validation of checkout parameters that depend on each other."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox import currencies
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.formatting import money
from creditapp.stripe_sandbox.store import Json

_PARAMETERS_OF_MODE = {
    "payment": ("payment_intent_data",),
    "setup": ("setup_intent_data",),
    "subscription": ("subscription_data", "payment_method_collection"),
}
"""Parameters allowed in only one mode."""


def validate_parameters(params: dict[str, Any]) -> None:
    """Refuse conflicting or missing parameters."""
    _refuse_parameters_of_other_modes(params)
    needed = ("success_url",) if params["mode"] == "setup" else ("line_items", "success_url")
    for name in needed:
        if not params.get(name):
            raise StripeAPIError(
                f"Missing required param: {name}.", code="parameter_missing", param=name
            )
    for other in ("customer_email", "customer_creation"):
        if params.get("customer") and params.get(other):
            raise StripeAPIError(
                f"You may only specify one of these parameters: customer, {other}.",
                code="parameters_exclusive",
                param="customer",
            )
    if params.get("customer_update") and not params.get("customer"):
        raise StripeAPIError(
            "`customer_update` can only be used with `customer`.", param="customer_update"
        )


def _refuse_parameters_of_other_modes(params: dict[str, Any]) -> None:
    mode = params["mode"]
    if mode == "subscription" and "customer_creation" in params:
        raise StripeAPIError(
            "`customer_creation` can only be used in `payment` and `setup` mode.",
            param="customer_creation",
        )
    if mode == "setup" and params.get("line_items"):
        raise StripeAPIError("You can not pass `line_items` in `setup` mode.", param="line_items")
    if mode == "setup" and "currency" not in params:
        raise StripeAPIError(
            "Missing required param: currency.", code="parameter_missing", param="currency"
        )
    for owner, names in _PARAMETERS_OF_MODE.items():
        for name in names:
            if owner != mode and name in params:
                raise StripeAPIError(f"You can not pass `{name}` in `{mode}` mode.", param=name)


def validate_prices(params: dict[str, Any], items: list[Json]) -> None:
    """Refuse prices of a wrong type, mixed currencies or intervals, or too small an amount."""
    mode = params["mode"]
    recurring = [item["price"]["recurring"] for item in items if item["price"]["recurring"]]
    if mode == "payment" and recurring:
        raise StripeAPIError(
            "You specified `payment` mode but passed a recurring price. Either switch to"
            " `subscription` mode or use only one-time prices."
        )
    if mode == "subscription" and not recurring:
        raise StripeAPIError(
            "You must provide at least one recurring price in `subscription` mode when using"
            " prices."
        )
    if len({(price["interval"], price["interval_count"]) for price in recurring}) > 1:
        raise StripeAPIError(
            "Checkout does not support multiple prices with different billing intervals."
        )
    codes = {item["currency"] for item in items}
    if "currency" in params and items and codes != {params["currency"].lower()}:
        raise StripeAPIError(
            "The prices do not have the `currency` of the request.", param="currency"
        )
    if len(codes) > 1:
        raise StripeAPIError("The price currencies must be the same for all line items.")
    total = sum(item["amount_total"] for item in items)
    for code in codes:
        if 0 < total < currencies.minimum(code):
            raise StripeAPIError(
                "The Checkout Session's total amount due must add up to at least"
                f" {money(currencies.minimum(code), code)}",
                code="amount_too_small",
            )
