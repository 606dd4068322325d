"""Prices: packs, and the price list."""

from __future__ import annotations

from flask import Blueprint, Response, request
from pydantic import Field

from creditapp.catalog import (
    IMAGE_TO_IMAGE,
    Catalog,
    Model,
    PackView,
    amount,
    credit_costs,
    packs_view,
)
from creditapp.catalog.price_list import OperationCost as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Price, Schema
from creditapp.services import get
from creditapp.units import minor_to_decimal

routes = Blueprint("prices", __name__)


class PackAnswer(Schema):
    """A pack on sale. Bonus and saving are missing where there is none."""

    id: str
    name: str
    price: Price
    price_minor: int
    currency: str
    credits_micro: Credits
    bonus_micro: Credits | None = None
    saving_percent: int | None = None
    per_credit: Price
    best_value: bool
    description: str


class ModelCost(Schema):
    """The cost of one model, and what its orders may have. A model of tokens has no sizes."""

    model: str
    name: str
    cost_micro: Credits | None = Field(None, alias="credits")
    prices_micro: dict[str, Credits] | None = Field(None, alias="byQuality")
    sentence: str = Field(alias="description")
    sizes: list[str] | None = None
    max_images: int | None = None
    max_sources: int | None = Field(None, description="How many images an edit may start from.")
    takes: list[str] | None = Field(
        None, description="Which of mask, negativePrompt, style and seed its orders may have."
    )
    styles: list[str] | None = None


class OperationCost(Schema):
    """The cost of one operation, by model."""

    operation: str
    name: str
    cost_micro: Credits | None = Field(None, alias="fromCredits")
    sentence: str = Field(alias="description")
    models: list[ModelCost]
    max_seconds: int | None = None
    sizes: list[str] | None = Field(None, description="The first is the default.")
    voices: list[str] | None = Field(None, description="The first is the default.")
    formats: list[str] | None = Field(None, description="The first is the default.")


class CostsAnswer(Schema):
    """The price list."""

    operations: list[OperationCost]
    version: str


@routes.get("/credit-packs")
@policy("public")
@Documented("The packs on sale", list[PackAnswer], query=["currency"])
def list_packs() -> Response:
    """Return the packs with price, credits, bonus, saving and the price of one credit."""
    catalog = get(Catalog)
    currency = request.args.get("currency", catalog.currency).upper()
    if currency not in catalog.currencies:
        currencies = ", ".join(catalog.currencies)
        raise ValidationFailed.of("currency", f"Packs are sold in {currencies}.")
    return json_response([_pack(catalog, view) for view in packs_view(catalog, currency)])


@routes.get("/credit-costs")
@policy("public")
@Documented("The cost of every operation and model", CostsAnswer)
def list_costs() -> Response:
    """Return the cost of every operation and model, each with a sentence for people."""
    return json_response(price_list())


def price_list() -> CostsAnswer:
    """Return the price list of the current catalog."""
    catalog = get(Catalog)
    operations = [_operation(catalog, cost) for cost in credit_costs(catalog)]
    return CostsAnswer(operations=operations, version=catalog.version)


def _operation(catalog: Catalog, cost: PricedOperation) -> OperationCost:
    answer = OperationCost.model_validate(cost)
    for model_cost in answer.models:
        _add_abilities(model_cost, catalog.model(model_cost.model), cost.operation)
    operation = catalog.operation(cost.operation)
    if operation is not None:
        answer.max_seconds = operation.max_seconds
        answer.sizes = [shape.size for shape in operation.shapes] or None
        answer.voices = list(operation.voices) or None
        answer.formats = list(operation.formats) or None
    return answer


def _add_abilities(answer: ModelCost, model: Model | None, operation: str) -> None:
    if model is None:
        return
    is_edit = operation == IMAGE_TO_IMAGE
    takes = {
        "mask": model.takes_mask and is_edit,
        "negativePrompt": model.takes_negative_prompt,
        "style": bool(model.styles),
        "seed": model.takes_seed,
    }
    answer.sizes = [shape.size for shape in model.shapes]
    answer.max_images = model.max_images
    answer.max_sources = model.sources_max if is_edit else None
    answer.takes = [member for member, is_taken in takes.items() if is_taken]
    answer.styles = list(model.styles) or None


def _pack(catalog: Catalog, view: PackView) -> PackAnswer:
    pack = view.pack
    return PackAnswer(
        id=pack.id,
        name=pack.name,
        price=minor_to_decimal(pack.price_minor, pack.currency),
        price_minor=pack.price_minor,
        currency=pack.currency,
        credits_micro=pack.credits_micro,
        bonus_micro=view.bonus_micro,
        saving_percent=view.saving_percent,
        per_credit=view.per_credit,
        best_value=pack.best_value,
        description=f"{amount(catalog, pack.credits_micro)}: {view.yields}",
    )
