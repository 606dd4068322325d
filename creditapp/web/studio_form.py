"""Studio form: the fields of one operation, parsed into its orders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from flask import request
from pydantic.alias_generators import to_camel
from werkzeug.datastructures import MultiDict

from creditapp.catalog import TEXT_TO_IMAGE, Catalog, Model
from creditapp.catalog.models import IMAGE_OPERATIONS
from creditapp.errors import ValidationFailed
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX, Order
from creditapp.http import forms
from creditapp.http.json_provider import parse_members
from creditapp.http.viewer import viewer
from creditapp.services import get
from creditapp.web import studio_settings, view_models

COMPARED_MAX = 4
_CHARACTERS_MAX = 4 * PROMPT_CHARACTERS_MAX
"""A text that is too long comes back for its author to shorten; beyond this it is cut."""
_FILES_MAX = 17
"""One more than an order may start from, so that too many are refused and not cut."""


@dataclass(frozen=True)
class Form:
    """The fields of one operation's form as text, unchecked, by their names in the page."""

    operation: str
    fields: Mapping[str, str]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The fields that hold several ids."""
    compared: tuple[str, ...] = ()
    """The models to compare; empty when the form chooses one."""

    def text(self, name: str) -> str:
        """Return a field; empty if it is missing."""
        return self.fields.get(name, "")


def offered_operations() -> list[str]:
    """Return the ids of the operations that the studio offers."""
    return [entry.id for entry in get(Catalog).operations if entry.id in OPERATIONS]


def parse(operation: str = "") -> Form:
    """Return the fields of the form or query, unchecked; ``choose`` overrides single ones.

    Without an operation it is the last one used, unless the query has fields of an image's form.
    """
    offered = offered_operations()
    operation = operation or forms.text("operation")
    if operation not in offered:
        is_filled = any(forms.text(name) for name in ("prompt", "model"))
        operation = TEXT_TO_IMAGE if is_filled else studio_settings.last_operation()
    if operation not in offered:
        operation = offered[0]
    sent = _sent()
    kinds = kinds_of(operation)
    overrides = dict(parse_qsl(forms.text("choose", 200)))
    fields = {
        name: overrides.get(name, forms.text(name, _CHARACTERS_MAX))
        for name, kind in kinds.items()
        if kind != "array"
    }
    lists = {
        name: [each[:64] for each in sent.getlist(name)[:_FILES_MAX] if each]
        for name, kind in kinds.items()
        if kind == "array"
    }
    form = Form(operation, fields, lists)
    if operation in IMAGE_OPERATIONS and forms.ticked("compare") and viewer().kind == "user":
        chosen = [overrides["model"]] if "model" in overrides else sent.getlist("models")
        form = replace(form, compared=_comparable(operation, chosen or [fields["model"]]))
    elif not fields.get("model") and "model" in kinds and sent.get("models"):
        form = replace(form, fields={**fields, "model": sent["models"][:64]})
    return form


def with_source(form: Form, name: str, source_id: str, *, single: bool) -> Form:
    """Return the form with one more file to start from; a ``single`` one replaces the last."""
    if name in form.lists:
        kept = () if single else form.lists[name]
        return replace(form, lists={**form.lists, name: [*kept, source_id]})
    if name in form.fields:
        return replace(form, fields={**form.fields, name: source_id})
    return form


def _sent() -> MultiDict[str, str]:
    return request.form if request.method == "POST" else request.args


def with_remembered_settings(form: Form) -> Form:
    """Fill in the settings used last where the form has none."""
    sent, last = _sent(), studio_settings.last_fields(form.operation)
    fields = {
        name: text if text or name in sent else last.get(name, "")
        for name, text in form.fields.items()
    }
    return replace(form, fields=fields)


def remember_settings(form: Form) -> Form:
    """Keep the settings, so that buyers find their model again after paying; return the form."""
    fields = dict(form.fields)
    if form.compared:
        fields["model"] = form.compared[0]
    studio_settings.remember(form.operation, fields)
    return form


def to_orders(form: Form) -> list[Order]:
    """Return the orders of a form; raise ``ValidationFailed`` naming each wrong field."""
    values = values_of(form)
    values.setdefault("prompt", "")
    if not form.compared:
        model = get(Catalog).model(form.text("model"))
        if model is not None and not model.qualities:
            values.pop("quality", None)  # the form sends it, and this model has a single quality
        return [_validated(form.operation, values)]
    if len(form.compared) > COMPARED_MAX:
        raise ValidationFailed.of("models", f"Compare at most {COMPARED_MAX} models.")
    models = [get(Catalog).model(model_id) for model_id in form.compared]
    return [
        _validated(form.operation, fitted(model, values)) for model in models if model is not None
    ]


def digest(orders: Sequence[Order]) -> str:
    """Return a digest of all orders, to recognise a repeated request."""
    if len(orders) == 1:
        return orders[0].digest()
    return hashlib.sha256("".join(order.digest() for order in orders).encode()).hexdigest()


def default_model(operation: str) -> Model:
    """Return the model of a form without a choice: the catalog's default, if it can be used."""
    catalog = get(Catalog)
    available = view_models.available_ids()
    able = [model for model in catalog.models if model.can(operation)]
    usable = [
        model
        for model in able
        if model.id in available and (model.guests or viewer().kind == "user")
    ]
    candidates = usable or able
    return next((m for m in candidates if m.id == catalog.default_model), candidates[0])


def _comparable(operation: str, model_ids: Sequence[str]) -> tuple[str, ...]:
    models = (get(Catalog).model(model_id) for model_id in dict.fromkeys(model_ids))
    able = [model.id for model in models if model is not None and model.can(operation)]
    return tuple(able) or (default_model(operation).id,)


def values_of(form: Form) -> dict[str, Any]:
    """Return the fields that have a value, numbers as such; what is none is left for the order."""
    values: dict[str, Any] = {name: list(ids) for name, ids in form.lists.items() if ids}
    for name, text in form.fields.items():
        is_number = kinds_of(form.operation)[name] == "integer"
        if is_number and text.isdecimal() and text.isascii() and len(text) <= 10:
            values[name] = int(text)
        elif text.strip() or name == "prompt":
            values[name] = text
    return values


def fitted(model: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as this model takes them: chosen for another one, some do not fit."""
    fitted = {**values, "model": model.id}
    if not model.takes_negative_prompt:
        fitted.pop("negativePrompt", None)
    if not model.takes_seed:
        fitted.pop("seed", None)
    if fitted.get("style") not in model.styles:
        fitted.pop("style", None)
    quality = fitted.get("quality")
    fitted["quality"] = quality if quality in model.qualities else model.default_quality
    fitted["size"] = (model.shape(str(fitted.get("size", ""))) or model.shapes[0]).size
    n = fitted.get("n", 1)
    most = 1 if viewer().kind == "guest" else model.max_images
    fitted["n"] = max(1, min(n, most)) if isinstance(n, int) else 1
    return fitted


def _validated(operation: str, values: Mapping[str, Any]) -> Order:
    given = {name: value for name, value in values.items() if value is not None}
    return parse_members(OPERATIONS[operation].order, given)


@cache
def kinds_of(operation: str) -> Mapping[str, str]:
    """Return the fields of an operation's form by their names in the page: the order's own."""
    order_type = OPERATIONS[operation].order
    kinds = {name: field_type(order_type, name) for name in order_type.model_fields}
    return {to_camel(name): kind for name, kind in kinds.items() if kind}


def field_type(order_type: type[Order], name: str) -> str:
    """Return ``string``, ``integer`` or ``array``; empty for what an order ignores."""
    return _types(order_type)[name]


@cache
def _types(order_type: type[Order]) -> Mapping[str, str]:
    properties = order_type.model_json_schema(by_alias=False)["properties"]
    types = {}
    for name, info in order_type.model_fields.items():
        schema = properties.get(name, {})
        first = schema.get("anyOf", [schema])[0]
        types[name] = "" if info.exclude else str(first.get("type", ""))
    return types
