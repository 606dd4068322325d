"""What things cost: packs, the price list, and the price of one request before it is made."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    WithJsonSchema,
)

from creditapp.catalog import Catalog, PriceRequest
from creditapp.catalog import quote as quote_price
from creditapp.catalog.packs import packs_view
from creditapp.catalog.price_list import credit_costs
from creditapp.errors import ValidationFailed
from creditapp.http.json_provider import json_response, read_json, validation_failed
from creditapp.http.openapi import documented
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Schema
from creditapp.http.viewer import viewer
from creditapp.services import get
from creditapp.units import credits_number, minor_digits

routes = Blueprint("prices", __name__)

TEXT_CHARACTERS_MAX = 100_000


class PackAnswer(Schema):
    """A pack on sale. Bonus and saving are missing where there is none."""

    id: str
    name: str
    price: Annotated[Decimal, WithJsonSchema({"type": "number"})]
    price_minor: int
    currency: str
    credits: Credits
    bonus: Credits | None = None
    saving_percent: int | None = None
    per_credit: Annotated[Decimal, WithJsonSchema({"type": "number"})]
    best_value: bool
    description: str


class ModelCost(Schema):
    """What one model costs."""

    model: str
    name: str
    credits: Credits | None = None
    by_quality: dict[str, Credits] | None = None
    description: str


class OperationCost(Schema):
    """What one operation costs, and with which models."""

    operation: str
    name: str
    from_credits: Credits | None = None
    description: str
    models: list[ModelCost]


class CostsAnswer(Schema):
    """The whole price list."""

    operations: list[OperationCost]
    version: str


class QuoteLine(Schema):
    """One part of a price."""

    label: str
    credits: Credits


class QuoteAnswer(Schema):
    """What a request would cost, before it is made."""

    operation: str
    model: str | None = None
    credits: Credits
    description: str
    lines: list[QuoteLine]
    estimated: bool
    version: str
    balance: Credits | None = None
    affordable: bool | None = None


class QuoteRequest(BaseModel):
    """A generation's body, as the generating routes read it; only what sets its price counts."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    operation: str = Field(
        default="text-to-image", validation_alias=AliasChoices("operation", "type")
    )
    model: str | None = Field(default=None, validation_alias=AliasChoices("model", "aiModel"))
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
        words = ", ".join(catalog.currencies)
        raise ValidationFailed.of("currency", f"Packs are sold in {words}.")
    return json_response([_pack(view) for view in packs_view(catalog, currency)])


@routes.get("/credit-costs")
@policy("public")
@documented("What everything costs", CostsAnswer)
def list_costs() -> Response:
    """Return the cost of every operation and model, each with a sentence for people."""
    catalog = get(Catalog)
    operations = [
        OperationCost(
            operation=each.operation,
            name=each.name,
            from_credits=_maybe(each.cost_micro),
            description=each.sentence,
            models=[
                ModelCost(
                    model=model.model,
                    name=model.name,
                    credits=_maybe(model.cost_micro),
                    by_quality={name: credits_number(micro) for name, micro in model.prices_micro}
                    or None,
                    description=model.sentence,
                )
                for model in each.models
            ],
        )
        for each in credit_costs(catalog)
    ]
    return json_response(CostsAnswer(operations=operations, version=catalog.version))


@routes.post("/quotes")
@policy("public")
@documented("The price of a request before it is made", QuoteAnswer, body=QuoteRequest)
def quote() -> Response:
    """Return what a generation's body would cost; nothing is set aside."""
    try:
        wanted = QuoteRequest.model_validate(read_json())
    except ValidationError as error:
        raise validation_failed(error) from None
    quoted = quote_price(
        get(Catalog),
        PriceRequest(
            operation=wanted.operation,
            model=wanted.model,
            n=wanted.n,
            quality=wanted.quality,
            size=wanted.size,
            seconds=wanted.seconds,
            text_length=None if wanted.text is None else len(wanted.text),
            input_tokens=wanted.input_tokens,
            output_tokens=wanted.output_tokens,
        ),
    )
    looks = viewer()
    has: dict[str, Any] = {}
    if looks.kind == "user":
        has = {
            "balance": credits_number(looks.balance_micro),
            "affordable": quoted.cost_micro <= looks.balance_micro,
        }
    return json_response(
        QuoteAnswer(
            operation=quoted.operation,
            model=quoted.model,
            credits=credits_number(quoted.cost_micro),
            description=quoted.sentence,
            lines=[
                QuoteLine(label=line.label, credits=credits_number(line.cost_micro))
                for line in quoted.lines
            ],
            estimated=quoted.estimated,
            version=quoted.version,
            **has,
        )
    )


def _pack(view: Any) -> PackAnswer:
    pack = view.pack
    return PackAnswer(
        id=pack.id,
        name=pack.name,
        price=Decimal(pack.price_minor).scaleb(-minor_digits(pack.currency)),
        price_minor=pack.price_minor,
        currency=pack.currency,
        credits=credits_number(pack.credits_micro),
        bonus=_maybe(view.bonus_micro),
        saving_percent=view.saving_percent,
        per_credit=view.per_credit,
        best_value=view.best_value,
        description=f"{view.amount}: {view.makes}",
    )


def _maybe(micro: int | None) -> Any:
    return None if micro is None else credits_number(micro)
