"""Prices: packs, and the price list.

The price list includes what is paid by the token, which has no route yet.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from pydantic import Field

from creditapp.catalog import Catalog, PackView, amount, credit_costs, packs_view
from creditapp.errors import ValidationFailed
from creditapp.http.json_provider import json_response
from creditapp.http.openapi import documented
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
    """The cost of one model."""

    model: str
    name: str
    cost_micro: Credits | None = Field(None, alias="credits")
    prices_micro: dict[str, Credits] | None = Field(None, alias="byQuality")
    sentence: str = Field(alias="description")


class OperationCost(Schema):
    """The cost of one operation, by model. What is paid by the token has no route yet."""

    operation: str
    name: str
    cost_micro: Credits | None = Field(None, alias="fromCredits")
    sentence: str = Field(alias="description")
    models: list[ModelCost]


class CostsAnswer(Schema):
    """The price list."""

    operations: list[OperationCost]
    version: str


@routes.get("/credit-packs")
@policy("public")
@documented("The packs on sale", list[PackAnswer], query=["currency"])
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
@documented("The cost of every operation and model", CostsAnswer)
def list_costs() -> Response:
    """Return the cost of every operation and model, each with a sentence for people.

    What is paid by the token is listed too: chat, agent, summarize and embeddings are planned.
    """
    catalog = get(Catalog)
    operations = [OperationCost.model_validate(cost) for cost in credit_costs(catalog)]
    return json_response(CostsAnswer(operations=operations, version=catalog.version))


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
