"""Studio form: parsed into an order, priced, and remembered in the session."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from flask import session
from pydantic import ValidationError

from creditapp.catalog import Catalog, Model
from creditapp.catalog.recommendations import recommend
from creditapp.generation.operations.text_to_image import ImageOrder
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX
from creditapp.http import forms
from creditapp.http.json_provider import validation_failed
from creditapp.http.viewer import viewer
from creditapp.services import get
from creditapp.web import view_models

Form = dict[str, str]

_FIELDS = ("prompt", "model", "n", "size", "quality")
_CHARACTERS_MAX = 4 * PROMPT_CHARACTERS_MAX
"""A text that is too long comes back for its author to shorten; beyond this it is cut."""


def parse() -> Form:
    """Return the fields of the form or query, unchecked; ``choose`` overrides single ones."""
    form = {name: forms.text(name, _CHARACTERS_MAX) for name in _FIELDS}
    overrides = dict(parse_qsl(forms.text("choose", 200)))
    form.update({name: text for name, text in overrides.items() if name in _FIELDS})
    return form


def with_remembered_settings(form: Form) -> Form:
    """Fill in the settings used last where the form has none."""
    settings = session.get("choice", {})
    return {name: text or settings.get(name, "") for name, text in form.items()}


def remember_settings(form: Form) -> Form:
    """Store all but the prompt, so that buyers find their model again after paying."""
    settings = {name: text[:64] for name, text in form.items() if name != "prompt"}
    if session.get("choice") != settings:
        session["choice"] = settings
    return form


def to_order(form: Form) -> ImageOrder:
    """Return the order of a form; raise ``ValidationFailed`` naming each wrong field."""
    values: dict[str, Any] = {name: text for name, text in form.items() if text}
    values.setdefault("prompt", "")
    if values.get("n", "").isdecimal() and len(values["n"]) < 5:
        values["n"] = int(values["n"])
    model = get(Catalog).model(values.get("model", ""))
    if model is not None and not model.qualities:
        values.pop("quality", None)  # the form sends it, and this model has a single quality
    try:
        return ImageOrder.model_validate(values)
    except ValidationError as error:
        raise validation_failed(error) from None


def to_priced_order(form: Form) -> ImageOrder:
    """Return the order whose price a page shows, whatever is missing or wrong in the form."""
    model = get(Catalog).model(form["model"]) or default_model()
    n = int(form["n"]) if form["n"].isdecimal() and len(form["n"]) < 5 else 1
    if viewer().kind == "guest":
        n = 1
    quality = form["quality"] if form["quality"] in model.qualities else model.default_quality
    shape = model.shape(form["size"]) or model.shapes[0]
    return ImageOrder.model_construct(
        prompt=form["prompt"],
        model=model.id,
        n=max(1, min(n, model.max_images)),
        size=shape.size,
        quality=quality,
        negative_prompt=None,
        style=None,
        seed=None,
    )


def default_model() -> Model:
    """Return the model that a new page selects: the recommended one, else the catalog's."""
    catalog = get(Catalog)
    current_viewer = viewer()
    balance_micro = current_viewer.balance_micro if current_viewer.kind == "user" else None
    recommendation = recommend(catalog, balance_micro, view_models.available_ids())
    if recommendation is not None:
        return recommendation.model
    return catalog.model(catalog.default_model) or catalog.models[0]
