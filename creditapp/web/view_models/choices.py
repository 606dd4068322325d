"""Studio form: the operations, the models, and each option with what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from flask import current_app

from creditapp.catalog import Catalog, Model, Operation, PriceRequest
from creditapp.catalog.models import IMAGE_OPERATIONS
from creditapp.catalog.recommendations import ModelOffer, offers
from creditapp.credentials import SETTINGS_URL, MissingApiKey, vendor_of
from creditapp.generation import PricedOrder
from creditapp.generation.operations import OPERATIONS
from creditapp.http.viewer import Viewer
from creditapp.services import get
from creditapp.units import MICRO_MAX
from creditapp.web.view_models.price_panel import Suggestion, available_ids, suggestions

_SECONDS_SHOWN_MAX = 12
"""Up to so many seconds each is a choice; of longer ones, the ends of the price's steps are."""


class Tab(TypedDict):
    """An operation to choose, with the price of its cheapest order."""

    id: str
    name: str
    from_micro: int


class Blocked(TypedDict):
    """Why a model cannot be selected, and what would work."""

    text: str
    suggestions: list[Suggestion]


@dataclass(frozen=True)
class ModelChoice:
    """A row of the ``model_picker`` component, and the ``model_row`` of what is chosen."""

    offer: ModelOffer
    unit_micro: int
    recommended: bool
    blocked: Blocked | None
    sample: str | None
    """An image that it made, as a file in static/."""
    abilities: Sequence[str]


class Choice(TypedDict):
    """A radio button of the ``choice`` component."""

    value: str | int
    label: NotRequired[str]
    width: NotRequired[int]
    height: NotRequired[int]
    cost_micro: NotRequired[int]
    blocked: NotRequired[bool]


class Options(TypedDict):
    """The options of a form; an empty list is not asked."""

    sizes: list[Choice]
    qualities: list[Choice]
    counts: list[Choice]
    styles: list[Choice]
    seconds: list[Choice]
    voices: list[Choice]
    formats: list[Choice]
    takes_negative_prompt: bool
    takes_seed: bool
    takes_mask: bool
    sources_max: int


def tabs() -> list[Tab]:
    """Return the operations that the catalog offers and the studio has a form for."""
    return [
        {"id": entry.id, "name": entry.name, "from_micro": _lowest_micro(entry)}
        for entry in get(Catalog).operations
        if entry.id in OPERATIONS
    ]


def _lowest_micro(entry: Operation) -> int:
    if entry.id in IMAGE_OPERATIONS:
        models = [model for model in get(Catalog).models if model.can(entry.id)]
        return min(model.lowest_micro for model in models)
    return entry.steps[0].price_micro if entry.steps else entry.price_micro or 0


def models(priced: PricedOrder, viewer: Viewer) -> list[ModelChoice]:
    """Return every model that does this operation, for the model picker of this viewer."""
    quote = priced.quote
    quality = getattr(priced.order, "quality", None)
    request = PriceRequest(quote.operation, model=None, n=quote.units, quality=quality)
    balance_micro = viewer.balance_micro if viewer.kind == "user" else None
    # A model is recommended to a guest for being free, which ends with the free images.
    show_recommendation = viewer.kind == "user" or viewer.guest_remaining > 0
    if viewer.mode == "own":
        balance_micro, show_recommendation = MICRO_MAX, False  # nothing is charged
    return [
        _model_choice(offer, show_recommendation, quote.operation, viewer)
        for offer in offers(get(Catalog), balance_micro, available_ids(viewer), request)
    ]


def _model_choice(
    offer: ModelOffer, show_recommendation: bool, operation: str, viewer: Viewer
) -> ModelChoice:
    blocked: Blocked | None = None
    if viewer.mode == "own" and not offer.available:
        vendor = vendor_of(offer.model)
        text = f"Needs your {vendor.name} key." if vendor else MissingApiKey(None).detail
        blocked = {"text": text, "suggestions": [{"label": "Settings", "href": SETTINGS_URL}]}
    elif offer.reason:
        links = suggestions(offer.suggestions, operation)
        if offer.available and not links:
            links = [{"label": "Sign up", "href": "/auth/signup?next=/"}]
        blocked = {"text": offer.reason, "suggestions": links}
    return ModelChoice(
        offer=offer,
        unit_micro=offer.model.price_at(offer.quality),
        recommended=offer.recommended and show_recommendation,
        blocked=blocked,
        sample=_sample(offer.model),
        abilities=_abilities(offer.model),
    )


def _sample(model: Model) -> str | None:
    name = f"img/samples/{model.id}.webp"
    return name if (Path(current_app.static_folder or "") / name).is_file() else None


def _abilities(model: Model) -> list[str]:
    """Return what a model can do beyond an image from a text, in few words."""
    abilities = []
    if model.can("image-to-image"):
        several = f"edits up to {model.sources_max} images"
        abilities.append(several if model.sources_max > 1 else "edits")
    if model.takes_mask:
        abilities.append("masks")
    if model.writes_text:
        abilities.append("text in images")
    if model.styles:
        abilities.append("styles")
    abilities.append(f"{len(model.shapes)} shapes")
    return abilities


def options(priced: Sequence[PricedOrder], viewer: Viewer) -> Options:
    """Return the options of the orders of one form: of several models what they share.

    Nothing has a cost for a viewer whose own keys pay.
    """
    found = _options(priced, viewer)
    if viewer.mode == "own":
        for choice in (*found["qualities"], *found["counts"], *found["seconds"]):
            choice.pop("cost_micro", None)
    return found


def _options(priced: Sequence[PricedOrder], viewer: Viewer) -> Options:
    first = priced[0].priced
    if isinstance(first, Model):
        chosen = [each.priced for each in priced if isinstance(each.priced, Model)]
        quality = getattr(priced[0].order, "quality", None)
        return _image_options(chosen, quality, priced[0].quote.units, viewer)
    return {
        **_NO_OPTIONS,
        "sizes": sizes([first]),
        "seconds": _seconds(first, viewer),
        "voices": [{"value": voice, "label": voice.capitalize()} for voice in first.voices],
        "formats": [{"value": each, "label": each.upper()} for each in first.formats],
    }


_NO_OPTIONS: Options = {
    "sizes": [],
    "qualities": [],
    "counts": [],
    "styles": [],
    "seconds": [],
    "voices": [],
    "formats": [],
    "takes_negative_prompt": False,
    "takes_seed": False,
    "takes_mask": False,
    "sources_max": 1,
}


def _image_options(chosen: Sequence[Model], quality: str | None, n: int, viewer: Viewer) -> Options:
    styles = list(dict.fromkeys(style for model in chosen for style in model.styles))
    none: list[Choice] = [{"value": "", "label": "None"}]
    return {
        **_NO_OPTIONS,
        "sizes": sizes(chosen),
        "qualities": qualities(chosen, n),
        "counts": counts(chosen, quality, viewer),
        "styles": none + [{"value": each, "label": each.capitalize()} for each in styles]
        if styles
        else [],
        "takes_negative_prompt": any(model.takes_negative_prompt for model in chosen),
        "takes_seed": any(model.takes_seed for model in chosen),
        "takes_mask": all(model.takes_mask for model in chosen),
        "sources_max": min(model.sources_max for model in chosen),
    }


def sizes(entries: Sequence[Model | Operation]) -> list[Choice]:
    """Return the shapes that all of the entries can make; sizes of the first."""
    shared = [{shape.aspect for shape in entry.shapes} for entry in entries]
    return [
        {
            # Models may have different sizes of one shape; a single one is asked by its size.
            "value": shape.size if len(entries) == 1 else shape.aspect,
            "label": shape.aspect,
            "width": shape.width,
            "height": shape.height,
        }
        for shape in entries[0].shapes
        if all(shape.aspect in aspects for aspects in shared)
    ]


def qualities(chosen: Sequence[Model], n: int) -> list[Choice]:
    """Return the qualities that change the price, each with the price of ``n`` images."""
    names = dict.fromkeys(name for model in chosen for name in model.qualities)
    return [
        {
            "value": name,
            "label": name.capitalize(),
            "cost_micro": sum(model.price_at(name) for model in chosen) * n,
        }
        for name in names
    ]


def counts(chosen: Sequence[Model], quality: str | None, viewer: Viewer) -> list[Choice]:
    """Return the numbers of images to choose from, each with its cost."""
    most = 1 if viewer.kind == "guest" else min(model.max_images for model in chosen)
    unit_micro = sum(model.price_at(quality) for model in chosen)
    return [
        {"value": n, "cost_micro": unit_micro * n, "blocked": _is_too_dear(unit_micro * n, viewer)}
        for n in range(1, most + 1)
    ]


def _seconds(entry: Operation, viewer: Viewer) -> list[Choice]:
    """Return the lengths of a video to choose from, each with its cost."""
    if not entry.steps:
        return []
    longest = entry.steps[-1].up_to_seconds
    ends = [step.up_to_seconds for step in entry.steps]
    return [
        {
            "value": seconds,
            "label": f"{seconds} s",
            "cost_micro": (cost := _step_micro(entry, seconds)),
            "blocked": _is_too_dear(cost, viewer),
        }
        for seconds in (range(1, longest + 1) if longest <= _SECONDS_SHOWN_MAX else ends)
    ]


def _is_too_dear(cost_micro: int, viewer: Viewer) -> bool:
    """Return whether a member's credits, if they pay, are too few."""
    pays = viewer.kind == "user" and viewer.mode == "credits"
    return pays and cost_micro > viewer.balance_micro


def _step_micro(entry: Operation, seconds: int) -> int:
    return next(step.price_micro for step in entry.steps if seconds <= step.up_to_seconds)
