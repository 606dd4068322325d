"""Studio form: models, sizes, qualities and counts to choose from, and the price panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NotRequired, TypedDict
from urllib.parse import urlencode

from creditapp.catalog import Catalog, Model, PriceRequest, Quote, recommendations
from creditapp.catalog.recommendations import ModelOffer, affordability, offers
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.generation.providers import Providers, Unavailable
from creditapp.http.viewer import Viewer
from creditapp.services import get

_SIZE_NAMES = {"1:1": "Square", "3:2": "Wide", "2:3": "Tall", "16:9": "Film", "9:16": "Phone"}


class Suggestion(TypedDict):
    """A link, or with ``choose`` a button that changes the studio's form."""

    label: str
    href: NotRequired[str]
    choose: NotRequired[str]


class Blocked(TypedDict):
    """Why a model cannot be selected, and what would work."""

    text: str
    suggestions: list[Suggestion]


@dataclass(frozen=True)
class ModelChoice:
    """A radio card of the ``model_picker`` component."""

    offer: ModelOffer
    unit_micro: int
    recommended: bool
    blocked: Blocked | None


class Choice(TypedDict):
    """A radio button of the ``choice`` component."""

    value: str | int
    label: NotRequired[str]
    name: NotRequired[str]
    width: NotRequired[int]
    height: NotRequired[int]
    cost_micro: NotRequired[int]
    blocked: NotRequired[bool]


class PricePanel(TypedDict):
    """The ``cost_indicator`` component."""

    state: str
    sentence: str
    cost_micro: int
    was_micro: int | None
    balance_micro: int
    after_micro: int
    shortfall_micro: int
    suggestions: list[Suggestion]
    guest_remaining: int
    guest_limit: int
    guest_reset_at: datetime | None


def models(order: ImageOrder, viewer: Viewer) -> list[ModelChoice]:
    """Return every model of the catalog for the model picker of this viewer."""
    price_request = PriceRequest(model=None, n=order.n, quality=order.quality)
    balance_micro = viewer.balance_micro if viewer.kind == "user" else None
    # A model is recommended to a guest for being free, which ends with the free images.
    show_recommendation = viewer.kind == "user" or viewer.guest_remaining > 0
    return [
        _model_choice(offer, show_recommendation)
        for offer in offers(get(Catalog), balance_micro, available_ids(), price_request)
    ]


def available_ids() -> set[str]:
    """Return the ids of the models that a provider of this server serves now."""
    providers = get(Providers)
    return {
        model.id
        for model in get(Catalog).models
        if not isinstance(providers.find(model), Unavailable)
    }


def _model_choice(offer: ModelOffer, show_recommendation: bool) -> ModelChoice:
    blocked: Blocked | None = None
    if offer.reason:
        links = suggestions(offer.suggestions)
        if offer.available and not links:
            links = [{"label": "Sign up", "href": "/auth/signup?next=/"}]
        blocked = {"text": offer.reason, "suggestions": links}
    return ModelChoice(
        offer=offer,
        unit_micro=offer.model.price_at(offer.quality),
        recommended=offer.recommended and show_recommendation,
        blocked=blocked,
    )


def suggestions(changes: Sequence[recommendations.Suggestion]) -> list[Suggestion]:
    """Return the links that make a price affordable."""
    links: list[Suggestion] = []
    for change in changes:
        if change.kind == "credits":
            links.append({"label": change.label, "href": "/credits"})
            continue
        fields = {"model": change.model, "quality": change.quality, "n": change.n}
        query = urlencode({name: value for name, value in fields.items() if value is not None})
        links.append({"label": change.label, "choose": query})
    return links


def price_panel(
    order: ImageOrder, quote: Quote, viewer: Viewer, was_micro: int | None = None
) -> PricePanel:
    """Return the cost of an order and what it means for this viewer's balance."""
    panel: PricePanel = {
        "state": "guest" if viewer.guest_remaining else "guest_out",
        "sentence": quote.sentence,
        "cost_micro": quote.cost_micro,
        "was_micro": was_micro if was_micro != quote.cost_micro else None,
        "balance_micro": viewer.balance_micro,
        "after_micro": max(0, viewer.balance_micro - quote.cost_micro),
        "shortfall_micro": max(0, quote.cost_micro - viewer.balance_micro),
        "suggestions": [],
        "guest_remaining": viewer.guest_remaining,
        "guest_limit": viewer.guest_limit,
        "guest_reset_at": viewer.guest_reset_at,
    }
    if viewer.kind == "user":
        result = affordability(
            get(Catalog),
            PriceRequest(model=quote.model, n=order.n, quality=order.quality),
            quote,
            viewer.balance_micro,
            available_ids=available_ids(),
            low_balance_micro=viewer.low_at_micro,
        )
        panel["state"] = result.state
        panel["suggestions"] = suggestions(result.suggestions)
    return panel


def sizes(model: Model) -> list[Choice]:
    """Return the shapes that a model can make."""
    return [
        {
            "value": shape.size,
            "label": shape.aspect,
            "name": _SIZE_NAMES.get(shape.aspect, shape.aspect),
            "width": shape.width,
            "height": shape.height,
        }
        for shape in model.shapes
    ]


def qualities(model: Model) -> list[Choice]:
    """Return the qualities that change a model's price."""
    return [
        {"value": name, "label": name.capitalize(), "cost_micro": model.price_at(name)}
        for name in model.qualities
    ]


def counts(model: Model, quality: str | None, viewer: Viewer) -> list[Choice]:
    """Return the numbers of images to choose from, each with its cost."""
    most = 1 if viewer.kind == "guest" else model.max_images
    unit_micro = model.price_at(quality)
    return [
        {
            "value": n,
            "cost_micro": unit_micro * n,
            "blocked": viewer.kind == "user" and unit_micro * n > viewer.balance_micro,
        }
        for n in range(1, most + 1)
    ]
