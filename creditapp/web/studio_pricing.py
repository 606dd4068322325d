"""Prices of the studio's form as it is, whatever is missing or wrong in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from creditapp.catalog import Catalog, Model
from creditapp.catalog.models import IMAGE_OPERATIONS
from creditapp.db import reading
from creditapp.errors import ValidationFailed
from creditapp.generation import PricedOrder, price
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.orders import Order
from creditapp.generation.sources import Sources, own_sources
from creditapp.http.viewer import caller
from creditapp.services import get
from creditapp.web.studio_form import Form, default_model, field_type, fitted, values_of
from creditapp.web.view_models.choices import Choice, Options

_FILES = ("image", "images", "mask", "audio")


@dataclass(frozen=True)
class PricedForm:
    """A form's orders with their prices: one, or one for each compared model."""

    form: Form
    priced: Sequence[PricedOrder]
    wrong: Mapping[str, str]
    """Errors of fields that the price depends on, which is that of their defaults."""

    @property
    def cost_micro(self) -> int:
        """The price of all orders together."""
        return sum(each.quote.cost_micro for each in self.priced)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of image orders."""
        return tuple(each.model for each in self.priced if each.model is not None)


def price_form(form: Form) -> PricedForm:
    """Return the price that a page shows, whatever is missing or wrong in the form."""
    values, sources = values_of(form), _known_sources(form)
    order_type = OPERATIONS[form.operation].order
    chosen: list[dict[str, Any]] = [values]
    if form.operation in IMAGE_OPERATIONS:
        catalog = get(Catalog)
        models = [catalog.model(model_id) for model_id in form.compared or [form.text("model")]]
        suitable = [model for model in models if model and model.can(form.operation)]
        chosen = [fitted(model, values) for model in suitable or [default_model(form.operation)]]
    wrong: dict[str, str] = {}
    priced = []
    for each in chosen:
        try:
            priced.append(price(_unchecked(order_type, each), sources))
        except ValidationFailed as refusal:
            wrong |= refusal.by_field
            kept = {name: value for name, value in each.items() if name not in wrong}
            priced.append(price(_unchecked(order_type, kept)))
    return PricedForm(form, priced, wrong)


def shown_fields(priced_form: PricedForm, options: Options) -> dict[str, Any]:
    """Return the fields as the form shows them: what was chosen, else what it is priced with."""
    form, first = priced_form.form, priced_form.priced[0]
    fields: dict[str, Any] = {**form.fields, **form.lists}
    for name in ("n", "size", "quality", "style", "seconds"):
        if name in fields:
            fields[name] = getattr(first.order, name)
    if first.model is not None:
        shape = first.model.shape(fields["size"]) or first.model.shapes[0]
        fields |= {"model": first.model.id, "size": shape.aspect if form.compared else shape.size}
        fields["style"] = fields["style"] or ""
    _select(fields, "size", options["sizes"])
    _select(fields, "voice", options["voices"])
    _select(fields, "format", options["formats"])
    return fields


def _select(fields: dict[str, Any], name: str, choices: Sequence[Choice]) -> None:
    """Select the first choice where the field has none of them."""
    values = [choice["value"] for choice in choices]
    if name in fields and values and fields[name] not in values:
        fields[name] = values[0]


def _unchecked(order_type: type[Order], values: Mapping[str, Any]) -> Order:
    """Return an order to price: a form is priced before it is whole."""
    names = {to_camel(name): name for name in order_type.model_fields}
    given = {names[name]: value for name, value in values.items()}
    missing: dict[str, Any] = {
        name: [] if field_type(order_type, name) == "array" else "-"
        for name, info in order_type.model_fields.items()
        if info.is_required() and not given.get(name)
    }
    return order_type.model_construct(**{**given, **missing})


def _known_sources(form: Form) -> Sources:
    """Return the files that the form names and the viewer has."""
    ids = [form.text(name) for name in _FILES if form.text(name)]
    ids += [each for name in _FILES for each in form.lists.get(name, ())]
    return own_sources(reading(), caller(), ids)
