"""Recommendations: the model that fits a balance, and suggestions when the balance is too small.

Pure functions. The balance can pay for every suggestion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import amount, count, figure
from creditapp.catalog.models import IMAGE_OPERATIONS, TEXT_TO_IMAGE, TIERS, Model
from creditapp.catalog.pricing import PriceRequest, Quote, guest_refusal
from creditapp.catalog.selection import image_model


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion when the balance is too small: a change, and the cost after it.

    ``kind`` is ``quality``, ``count``, ``model``, ``seconds`` or ``credits`` (add credits; nothing
    changes).
    """

    kind: str
    label: str
    cost_micro: int | None = None
    model: str | None = None
    quality: str | None = None
    n: int | None = None
    seconds: int | None = None


_ADD_CREDITS = Suggestion("credits", "Add credits")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommended model and the reason: ``fits your balance: 24 images left``."""

    model: Model
    reason: str


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A row of the model picker; it can be chosen when ``reason`` is empty."""

    model: Model
    quality: str | None
    cost_micro: int
    """The cost of the whole request, with all its images."""
    available: bool
    affordable: bool
    recommended: bool
    why: str
    """The reason for the recommendation; empty without one."""
    reason: str
    """The reason why it cannot be chosen; empty when it can."""
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class Affordability:
    """A cost against a balance: ``sufficient``, ``low`` or ``insufficient``."""

    state: str
    after_micro: int
    sentence: str
    suggestions: tuple[Suggestion, ...]


def recommend(
    catalog: Catalog, balance_micro: int | None, available_ids: Collection[str]
) -> Recommendation | None:
    """Return the best model that makes the catalog's number of images from the balance.

    When none lasts that long it is the one that makes the most; when the balance makes no image
    there is none. ``balance_micro`` is ``None`` for a guest, who gets the default model if guests
    may use it, else the first one they may.
    """
    models = [model for model in catalog.models if model.id in available_ids]
    models = [model for model in models if model.can(TEXT_TO_IMAGE)]
    if balance_micro is None:
        return _for_guest(catalog, models)
    payable = [model for model in models if model.price_micro <= balance_micro]
    if not payable:
        return None
    images = catalog.recommended_images
    lasting = [model for model in payable if balance_micro // model.price_micro >= images]
    # max and min take the first of equals: the catalog's order decides within a tier.
    best = (
        max(lasting, key=lambda model: TIERS.index(model.tier))
        if lasting
        else min(payable, key=lambda model: model.price_micro)
    )
    left = count(balance_micro // best.price_micro, "image")
    return Recommendation(best, f"fits your balance: {left} left")


def offers(
    catalog: Catalog,
    balance_micro: int | None,
    available_ids: Collection[str],
    request: PriceRequest = PriceRequest(),  # noqa: B008  # frozen, so it can be shared
) -> tuple[ModelOffer, ...]:
    """Return every model that can do the request, as the picker shows it.

    ``request`` gives operation, quality and number; ``balance_micro`` is ``None`` for a guest.
    """
    recommended = recommend(catalog, balance_micro, available_ids)
    return tuple(
        _offer(catalog, balance_micro, model.id in available_ids, model, request, recommended)
        for model in catalog.models
        if model.can(request.operation)
    )


def affordability(
    catalog: Catalog,
    request: PriceRequest,
    quoted: Quote,
    balance_micro: int,
    *,
    available_ids: Collection[str] = (),
    low_balance_micro: int | None = None,
) -> Affordability:
    """Compare ``quoted``, the price of ``request``, with the balance.

    ``low`` means that the balance pays and less than the threshold is left: the person's own
    ``low_balance_micro``, or the catalog's.
    """
    after = balance_micro - quoted.cost_micro
    if after >= 0:
        threshold = catalog.low_balance_micro if low_balance_micro is None else low_balance_micro
        state = "low" if after < threshold else "sufficient"
        return Affordability(state, after, f"This leaves {amount(catalog, after)}.", ())
    have, needs = amount(catalog, balance_micro), figure(catalog, quoted.cost_micro)
    suggestions = list(_changes(catalog, request, balance_micro))
    suggestions += list(_other_model(catalog, request, balance_micro, available_ids))
    choices = ["Add credits", *(_within(suggestion.label) for suggestion in suggestions)]
    suggestions.append(_ADD_CREDITS)
    advice = " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
    sentence = f"You have {have}; this needs {needs}. {advice}."
    return Affordability("insufficient", after, sentence, tuple(suggestions))


def _for_guest(catalog: Catalog, models: list[Model]) -> Recommendation | None:
    free = [model for model in models if model.guests]
    if not free:
        return None
    best = next((model for model in free if model.id == catalog.default_model), free[0])
    return Recommendation(best, "free to try, no account needed")


def _offer(
    catalog: Catalog,
    balance_micro: int | None,
    available: bool,
    model: Model,
    request: PriceRequest,
    recommended: Recommendation | None,
) -> ModelOffer:
    quality = request.quality if request.quality in model.qualities else model.default_quality
    request = replace(request, model=model.id, quality=quality)
    cost = model.price_at(quality) * request.n
    affordable = balance_micro is None or cost <= balance_micro
    is_best = recommended is not None and recommended.model is model
    reason = ""
    suggestions: tuple[Suggestion, ...] = ()
    if not available:
        reason = "Not set up on this server."
    elif balance_micro is None:
        reason = guest_refusal(catalog, replace(request, n=1)) or ""
    elif not affordable:
        images = count(request.n, "image")
        need = "needs" if request.n == 1 else "need"
        have = figure(catalog, balance_micro)
        reason = f"{images} {need} {amount(catalog, cost)}; you have {have}"
        suggestions = (*_changes(catalog, request, balance_micro), _ADD_CREDITS)
    return ModelOffer(
        model=model,
        quality=quality,
        cost_micro=cost,
        available=available,
        affordable=affordable,
        recommended=is_best,
        why=recommended.reason if recommended and is_best else "",
        reason=reason,
        suggestions=suggestions,
    )


def _changes(catalog: Catalog, request: PriceRequest, balance_micro: int) -> Iterator[Suggestion]:
    """Yield changes to a request that make it affordable."""
    if request.operation not in IMAGE_OPERATIONS:
        yield from _shorter(catalog, request, balance_micro)
        return
    model = image_model(catalog, request.operation, request.model)
    price = model.price_at(request.quality)
    cheaper = [
        (other, name)
        for name, other in model.prices_micro.items()
        if other < price and other * request.n <= balance_micro
    ]
    if cheaper:
        best, quality = max(cheaper)
        cost = best * request.n
        label = f"Use {quality} ({figure(catalog, cost)})"
        yield Suggestion("quality", label, cost, model.id, quality, request.n)
    fewer = min(balance_micro // price, request.n - 1)
    if fewer > 0:
        cost = price * fewer
        label = f"Make {count(fewer, 'image')} ({figure(catalog, cost)})"
        yield Suggestion("count", label, cost, model.id, request.quality, fewer)


def _shorter(catalog: Catalog, request: PriceRequest, balance_micro: int) -> Iterator[Suggestion]:
    """Yield the longest video that the balance affords."""
    operation = catalog.operation(request.operation)
    steps = operation.steps if operation else ()
    payable = [step for step in steps if step.price_micro <= balance_micro]
    if payable:
        seconds, cost = payable[-1].up_to_seconds, payable[-1].price_micro
        label = f"Make {seconds} s ({figure(catalog, cost)})"
        yield Suggestion("seconds", label, cost, seconds=seconds)


def _other_model(
    catalog: Catalog, request: PriceRequest, balance_micro: int, available_ids: Collection[str]
) -> Iterator[Suggestion]:
    """Yield the cheapest other model that the balance affords."""
    if request.operation not in IMAGE_OPERATIONS:
        return
    chosen = image_model(catalog, request.operation, request.model)
    others = [
        model
        for model in catalog.models
        if model.id in available_ids and model is not chosen and model.can(request.operation)
        if model.price_micro * request.n <= balance_micro and request.n <= model.max_images
    ]
    if others:
        best = min(others, key=lambda model: model.price_micro)
        cost = best.price_micro * request.n
        label = f"Choose {best.name} ({figure(catalog, cost)})"
        yield Suggestion("model", label, cost, best.id, best.default_quality, request.n)


def _within(label: str) -> str:
    return label[0].lower() + label[1:]
