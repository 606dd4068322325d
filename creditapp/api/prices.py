"""Prices: packs, the price list, and quotes.

Quotes and the price list include operations that the catalog sells and no route generates yet.
"""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt

from creditapp.api.requests import parse_body
from creditapp.catalog import Catalog, PackView, PriceRequest, amount, credit_costs, packs_view
from creditapp.catalog import quote as quote_price
from creditapp.errors import ValidationFailed
from creditapp.http.json_provider import json_response
from creditapp.http.openapi import documented
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Price, Schema
from creditapp.http.viewer import viewer
from creditapp.services import get
from creditapp.units import minor_to_decimal

routes = Blueprint("prices", __name__)

TEXT_CHARACTERS_MAX = 100_000


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
    """The cost of one operation, by model. Planned operations have a price and no route yet."""

    operation: str
    name: str
    cost_micro: Credits | None = Field(None, alias="fromCredits")
    sentence: str = Field(alias="description")
    models: list[ModelCost]


class CostsAnswer(Schema):
    """The price list."""

    operations: list[OperationCost]
    version: str


class QuoteLine(Schema):
    """One part of a price."""

    label: str
    cost_micro: Credits = Field(alias="credits")


class QuoteAnswer(Schema):
    """The price of a request before it is sent."""

    operation: str
    model: str | None = None
    cost_micro: Credits = Field(alias="credits")
    sentence: str = Field(alias="description")
    lines: list[QuoteLine]
    estimated: bool
    version: str
    balance_micro: Credits | None = None
    affordable: bool | None = None


class QuoteRequest(BaseModel):
    """The body of a generation; members that do not set its price are ignored."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    operation: str = Field(
        default="text-to-image",
        validation_alias=AliasChoices("operation", "type"),
        description="text-to-image by default. Planned: every other operation has a price, and no "
        "route that generates it yet.",
    )
    model: str | None = Field(
        default=None, min_length=1, validation_alias=AliasChoices("model", "aiModel")
    )
    n: Annotated[StrictInt, Field(ge=1)] = 1
    quality: str | None = None
    size: str | None = None
    seconds: Annotated[StrictInt, Field(ge=1)] | None = None
    text: str | None = Field(default=None, max_length=TEXT_CHARACTERS_MAX)
    input_tokens: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None, validation_alias="inputTokens"
    )
    output_tokens: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None, validation_alias="outputTokens"
    )


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
@documented("The cost of every operation; planned: all but text-to-image", CostsAnswer)
def list_costs() -> Response:
    """Return the cost of every operation and model, each with a sentence for people.

    Planned operations are listed too: only text-to-image has routes that generate.
    """
    catalog = get(Catalog)
    operations = [OperationCost.model_validate(cost) for cost in credit_costs(catalog)]
    return json_response(CostsAnswer(operations=operations, version=catalog.version))


@routes.post("/quotes")
@policy("public")
@documented("The price of a request before it is sent", QuoteAnswer, body=QuoteRequest)
def quote() -> Response:
    """Return the price of a generation's body without holding credits.

    Planned operations have a price too: only text-to-image has routes that generate.
    """
    body = parse_body(QuoteRequest)
    price = quote_price(
        get(Catalog),
        PriceRequest(
            **body.model_dump(exclude={"text"}),
            text_length=None if body.text is None else len(body.text),
        ),
    )
    answer = QuoteAnswer.model_validate(price)
    current_viewer = viewer()
    if current_viewer.kind == "user":
        answer.balance_micro = current_viewer.balance_micro
        answer.affordable = price.cost_micro <= current_viewer.balance_micro
    return json_response(answer)


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
