"""Quotes: the price of a generation's body before it is sent. Nothing is held."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, ValidationError

from creditapp import ledger
from creditapp.api.body_files import has_data_url
from creditapp.api.requests import operation_of, parse_body, with_model
from creditapp.catalog import Catalog, PriceRequest, Quote
from creditapp.catalog import quote as quote_price
from creditapp.clock import now
from creditapp.db import reading
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.orders import Order
from creditapp.generation.sources import find_sources
from creditapp.generation.submit import price
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response, read_json, validation_failed
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Schema
from creditapp.http.viewer import caller, viewer
from creditapp.services import get

routes = Blueprint("quotes", __name__)

TEXT_CHARACTERS_MAX = 100_000


class QuoteLine(Schema):
    """One part of a price."""

    label: str
    cost_micro: Credits


class MillionTokensAnswer(Schema):
    """The price of a million tokens of each kind. Those of reasoning count as output."""

    input_micro: Credits
    cached_input_micro: Credits
    cache_write_micro: Credits
    output_micro: Credits


class QuoteAnswer(Schema):
    """The price of a request before it is sent.

    ``estimated`` means that the real length decides, and never costs more; of what is paid by the
    token, what is held is the most. ``millionTokens`` are the prices at this length of the prompt.
    ``balance`` is what may pay for this; ``shortfall`` is what it lacks. With own keys of the
    vendors everything costs 0.
    """

    operation: str
    model: str | None = None
    cost_micro: Credits
    sentence: str = Field(alias="description")
    lines: list[QuoteLine]
    estimated: bool
    version: str
    million_tokens: MillionTokensAnswer | None = None
    balance_micro: Credits | None = None
    affordable: bool | None = None
    shortfall_micro: Credits | None = None


class QuoteRequest(BaseModel):
    """The body of a generation, whole or only with what sets its price; the rest is ignored.

    A whole body is refused where its generation would be refused.
    """

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    operation: str | None = Field(
        default=None,
        validation_alias=AliasChoices("operation", "type"),
        description="Without it text-to-image, or with images image-to-image.",
    )
    model: str | None = Field(
        default=None, min_length=1, validation_alias=AliasChoices("model", "aiModel")
    )
    n: Annotated[StrictInt, Field(ge=1)] = 1
    quality: str | None = None
    size: str | None = None
    seconds: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="The length of a video, or of the voice that a lipsync follows."
    )
    text: str | None = Field(
        default=None,
        max_length=TEXT_CHARACTERS_MAX,
        validation_alias=AliasChoices("text", "prompt"),
        description="The text to speak. May be named prompt.",
    )
    input_tokens: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None, validation_alias="inputTokens"
    )
    cached_tokens: Annotated[StrictInt, Field(ge=0)] = Field(
        default=0,
        validation_alias="cachedTokens",
        description="The part of inputTokens that the provider has in its cache.",
    )
    cache_write_tokens: Annotated[StrictInt, Field(ge=0)] = Field(
        default=0,
        validation_alias="cacheWriteTokens",
        description="The part of inputTokens that the provider puts into its cache.",
    )
    output_tokens: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None,
        validation_alias="outputTokens",
        description="Those of reasoning included. Without it the longest answer.",
    )


@routes.post("/quotes")
@policy("public", scope="read")
@Documented("The price of a generation before it is made", QuoteAnswer, body=QuoteRequest)
def quote() -> Response:
    """Return the price of a generation's body without holding credits."""
    return json_response(answer_quote(parse_body(QuoteRequest), read_json()))


def answer_quote(partial: QuoteRequest, body: dict[str, Any]) -> QuoteAnswer:
    """Return the price of a body, whole or partial, and whether the caller can pay it."""
    operation = partial.operation or operation_of(body)
    order = _whole_order(operation, body)
    priced = _price_whole(order) if order else _price_partial(operation, partial)
    answer = QuoteAnswer.model_validate(priced)
    current_viewer = viewer()
    if current_viewer.mode == "own":
        # The vendor bills the member; what that costs is between them.
        answer.cost_micro, answer.lines, answer.million_tokens = 0, [], None
    if current_viewer.kind == "user":
        answer.balance_micro = balance_micro = _balance_micro(current_viewer.wallet_id, operation)
        answer.affordable = answer.cost_micro <= balance_micro
        answer.shortfall_micro = max(0, answer.cost_micro - balance_micro)
    return answer


def _whole_order(operation: str, body: dict[str, Any]) -> Order | None:
    """Return the order of a body; None if it lacks members, or has what is not in an order.

    A file in the body is not stored for a quote, so that such a body is priced by its members.

    Raises ``ValidationFailed`` for a member that is wrong.
    """
    if operation not in OPERATIONS:
        return None
    members = {name: body[name] for name in body if name not in ("operation", "type")}
    if has_data_url(members):
        return None
    try:
        return OPERATIONS[operation].order.model_validate(with_model(members))
    except ValidationError as error:
        if {each["type"] for each in error.errors()} & {"missing", "extra_forbidden"}:
            return None
        raise validation_failed(error) from None


def _price_whole(order: Order) -> Quote:
    priced = price(order, find_sources(reading(), caller(), order.source_ids()))
    order.values(priced.priced, priced.sources)
    return priced.quote


def _price_partial(operation: str, partial: QuoteRequest) -> Quote:
    members = partial.model_dump(exclude={"operation", "text"})
    length = None if partial.text is None else len(partial.text.strip())
    return quote_price(get(Catalog), PriceRequest(operation, **members, text_length=length))


def _balance_micro(wallet_id: int | None, operation: str) -> int:
    if wallet_id is None:
        return 0
    return ledger.spendable(reading().connection(), wallet_id, operation, now=now())
