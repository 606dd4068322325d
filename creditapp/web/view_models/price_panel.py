"""Price panel of the studio: what the form costs, why, and what that means for this viewer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NotRequired, TypedDict
from urllib.parse import urlencode

from creditapp.catalog import Catalog, guest_refusal, recommendations
from creditapp.catalog.recommendations import affordability
from creditapp.credentials import SETTINGS_URL, MissingApiKey, vendor_of
from creditapp.generation import PricedOrder
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import Providers, ServedModel, Unavailable
from creditapp.generation.submit import NO_SOURCES
from creditapp.http.viewer import Viewer
from creditapp.services import get


class Suggestion(TypedDict):
    """A link, or with ``choose`` a button that changes the studio's form."""

    label: str
    href: NotRequired[str]
    choose: NotRequired[str]


class PartOfSum(TypedDict):
    """One compared model's part of the sum."""

    sentence: str
    cost_micro: int


class PricePanel(TypedDict):
    """The ``cost_indicator`` component."""

    state: str
    sentence: str
    lines: list[PartOfSum]
    estimated: bool
    reason: str
    cost_micro: int
    was_micro: int | None
    balance_micro: int
    after_micro: int
    shortfall_micro: int
    suggestions: list[Suggestion]
    guest_remaining: int
    guest_limit: int
    guest_reset_at: datetime | None


def suggestions(changes: Sequence[recommendations.Suggestion], operation: str) -> list[Suggestion]:
    """Return the links that make a price affordable."""
    links: list[Suggestion] = []
    for change in changes:
        if change.kind == "credits":
            links.append({"label": change.label, "href": "/credits"})
            continue
        fields = {
            "operation": operation,
            "model": change.model,
            "quality": change.quality,
            "n": change.n,
            "seconds": change.seconds,
        }
        query = urlencode({name: value for name, value in fields.items() if value is not None})
        links.append({"label": change.label, "choose": query})
    return links


def price_panel(
    priced: Sequence[PricedOrder], viewer: Viewer, was_micro: int | None = None
) -> PricePanel:
    """Return the cost of a form's orders and what it means for this viewer's balance."""
    cost_micro = sum(each.quote.cost_micro for each in priced)
    first = priced[0]
    panel: PricePanel = {
        "state": "guest" if viewer.guest_remaining else "guest_out",
        "sentence": first.quote.sentence if len(priced) == 1 else f"{len(priced)} models together",
        "lines": _lines(priced) if len(priced) > 1 else [],
        "estimated": any(each.quote.estimated for each in priced),
        "reason": "",
        "cost_micro": cost_micro,
        "was_micro": was_micro if was_micro != cost_micro else None,
        "balance_micro": viewer.balance_micro,
        "after_micro": max(0, viewer.balance_micro - cost_micro),
        "shortfall_micro": max(0, cost_micro - viewer.balance_micro),
        "suggestions": [],
        "guest_remaining": viewer.guest_remaining,
        "guest_limit": viewer.guest_limit,
        "guest_reset_at": viewer.guest_reset_at,
    }
    if viewer.mode == "own":
        _show_own_keys(panel, priced, viewer)
    elif not all(_is_served(each) for each in priced):
        panel["state"] = "unavailable"
    elif viewer.kind == "user":
        _compare_with_balance(panel, priced, viewer)
    elif refusal := guest_refusal(get(Catalog), first.order.price_request(NO_SOURCES)):
        panel["state"], panel["reason"] = "account", refusal
    return panel


def available_ids(viewer: Viewer | None = None) -> set[str]:
    """Return the ids of the models that this server serves now, or the viewer's own keys pay."""
    if viewer is not None and viewer.mode == "own":
        return {model.id for model in get(Catalog).models if _has_key(model, viewer)}
    providers = get(Providers)
    return {
        model.id
        for model in get(Catalog).models
        if not isinstance(providers.find(model), Unavailable)
    }


def _lines(priced: Sequence[PricedOrder]) -> list[PartOfSum]:
    return [
        {"sentence": each.quote.sentence, "cost_micro": each.quote.cost_micro} for each in priced
    ]


def _show_own_keys(panel: PricePanel, priced: Sequence[PricedOrder], viewer: Viewer) -> None:
    """Show that keys pay and nothing is charged, or which key is missing."""
    # Nothing is agreed to: after a switch to credits, the order is refused with its new price.
    panel |= {"state": "own_key", "cost_micro": 0, "was_micro": None, "shortfall_micro": 0}
    panel |= {"lines": [], "after_micro": viewer.balance_micro}
    for served in map(_served, priced):
        if served is None:
            panel["state"] = "unavailable"
        elif not _has_key(served, viewer):
            missing = MissingApiKey(vendor := vendor_of(served))
            label = f"Enter your {vendor.name} key" if vendor else "Open the settings"
            panel["state"], panel["reason"] = "missing_key", missing.detail
            panel["suggestions"] = [{"label": label, "href": SETTINGS_URL}]


def _has_key(served: ServedModel, viewer: Viewer) -> bool:
    vendor = vendor_of(served)
    return vendor is not None and vendor.id in viewer.own_vendors


def _served(priced: PricedOrder) -> ServedModel | None:
    quote = priced.quote
    return OPERATIONS[quote.operation].served_by(get(Catalog), quote.model or quote.operation)


def _is_served(priced: PricedOrder) -> bool:
    served = _served(priced)
    return served is not None and not isinstance(get(Providers).find(served), Unavailable)


def _compare_with_balance(panel: PricePanel, priced: Sequence[PricedOrder], viewer: Viewer) -> None:
    if len(priced) > 1:
        after_micro = viewer.balance_micro - panel["cost_micro"]
        low = "low" if after_micro < viewer.low_at_micro else "sufficient"
        panel["state"] = "insufficient" if after_micro < 0 else low
        if after_micro < 0:
            panel["suggestions"] = [{"label": "Add credits", "href": "/credits"}]
        return
    (only,) = priced
    result = affordability(
        get(Catalog),
        only.order.price_request(only.sources),
        only.quote,
        viewer.balance_micro,
        available_ids=available_ids(),
        low_balance_micro=viewer.low_at_micro,
    )
    panel["state"] = result.state
    panel["suggestions"] = suggestions(result.suggestions, only.quote.operation)
