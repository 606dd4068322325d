"""What the studio offers: models, sizes, counts, and what the till says of them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from creditapp.catalog import Catalog, Model, PriceRequest, Quote
from creditapp.catalog.recommendations import ModelOffer, Way, offers, standing
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.generation.providers import Providers, Unavailable
from creditapp.http.viewer import Viewer
from creditapp.services import get
from creditapp.web.view_models.view_model import ViewModel

_SIZE_NAMES = {"1:1": "Square", "3:2": "Wide", "2:3": "Tall", "16:9": "Film", "9:16": "Phone"}


def models(order: ImageOrder, looks: Viewer) -> list[ViewModel]:
    """Return every model of the catalog as the picker shows it to this viewer."""
    request_ = PriceRequest(model=None, n=order.n, quality=order.quality)
    balance = looks.balance_micro if looks.kind == "user" else None
    # A model is recommended to a guest for being free, which ends with the free images.
    recommending = looks.kind == "user" or looks.guest_remaining > 0
    return [
        _offer(each, recommending)
        for each in offers(get(Catalog), balance, available_ids(), request_)
    ]


def available_ids() -> set[str]:
    """Return the models that somebody serves on this server now."""
    providers = get(Providers)
    return {
        model.id
        for model in get(Catalog).models
        if not isinstance(providers.find(model), Unavailable)
    }


def _offer(offer: ModelOffer, recommending: bool) -> ViewModel:
    model = offer.model
    blocked = None
    if offer.reason:
        links = ways(offer.ways)
        if offer.available and not links:
            links = [{"label": "Sign up", "href": "/auth/signup?next=/"}]
        blocked = {"text": offer.reason, "ways": links}
    return {
        "id": model.id,
        "name": model.name,
        "tier": model.tier,
        "best_for": model.best_for,
        "abilities": [],
        "cost_micro": model.price_at(offer.quality),
        "price_note": f"at {offer.quality} quality" if model.qualities else None,
        "by_quality": bool(model.qualities),
        "seconds": model.typical_seconds,
        "recommended": offer.recommended and recommending,
        "reason": offer.why or None,
        "available": offer.available,
        "blocked": blocked,
    }


def ways(found: Sequence[Way]) -> list[ViewModel]:
    """Return the links that lead out of a price that is too high."""
    links: list[ViewModel] = []
    for way in found:
        if way.kind == "credits":
            links.append({"label": way.label, "href": "/credits"})
            continue
        choice = {"model": way.model, "quality": way.quality, "n": way.n}
        chosen = urlencode({name: value for name, value in choice.items() if value is not None})
        links.append({"label": way.label, "choose": chosen})
    return links


def till(
    order: ImageOrder, quoted: Quote, looks: Viewer, was_micro: int | None = None
) -> ViewModel:
    """Return the cost and what it means for this viewer, as the till shows it."""
    shape: ViewModel = {
        "sentence": quoted.sentence,
        "cost_micro": quoted.cost_micro,
        "was_micro": was_micro if was_micro != quoted.cost_micro else None,
        "balance_micro": looks.balance_micro,
        "after_micro": max(0, looks.balance_micro - quoted.cost_micro),
        "shortfall_micro": max(0, quoted.cost_micro - looks.balance_micro),
        "ways": [],
        "guest_remaining": looks.guest_remaining,
        "guest_limit": looks.guest_limit,
        "guest_reset_at": looks.guest_reset_at,
    }
    if looks.kind == "guest":
        return shape | {"state": "guest" if looks.guest_remaining else "guest_out"}
    stands = standing(
        get(Catalog),
        PriceRequest(model=quoted.model, n=order.n, quality=order.quality),
        quoted,
        looks.balance_micro,
        available_ids=available_ids(),
        low_balance_micro=looks.low_at_micro,
    )
    return shape | {"state": stands.state, "ways": ways(stands.ways)}


def sizes(model: Model) -> list[ViewModel]:
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


def qualities(model: Model) -> list[ViewModel]:
    """Return the qualities that change a model's price."""
    return [
        {"value": name, "label": name.capitalize(), "cost_micro": model.price_at(name)}
        for name in model.qualities
    ]


def counts(model: Model, quality: str | None, looks: Viewer) -> list[ViewModel]:
    """Return how many images may be asked for at once, each with its cost."""
    most = 1 if looks.kind == "guest" else model.max_images
    unit_micro = model.price_at(quality)
    return [
        {
            "value": n,
            "cost_micro": unit_micro * n,
            "blocked": looks.kind == "user" and unit_micro * n > looks.balance_micro,
        }
        for n in range(1, most + 1)
    ]
