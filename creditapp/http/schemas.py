"""The base of every schema of the JSON API, and the types that they share.

Python writes snake_case, JSON camelCase. OpenAPI is generated from the schemas.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from creditapp.clock import rfc3339
from creditapp.generation.orders import holds_controls
from creditapp.units import MICRO_MAX, MICRO_PER_CREDIT, credits_number, micro_from_decimal


def one_of(values: Iterable[str]) -> WithJsonSchema:
    """Return the annotation of a text of an answer that is one of these."""
    return WithJsonSchema({"type": "string", "enum": list(values)})


Credits = Annotated[
    int,
    PlainSerializer(credits_number),
    WithJsonSchema({"type": "number", "description": "Credits, with at most 6 decimals."}),
]
"""Microcredits here, credits in JSON: the field ``held_micro`` is the member ``held``."""


def _micro(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("An amount is a number of credits.")
    return micro_from_decimal(Decimal(value))


CreditsInput = Annotated[
    int,
    BeforeValidator(_micro),
    WithJsonSchema(
        {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MICRO_MAX // MICRO_PER_CREDIT,
            "description": "Credits, with at most 6 decimals.",
        }
    ),
]
"""Credits in a request's JSON, microcredits here."""


def _without_controls(text: str) -> str:
    if holds_controls(text):
        raise ValueError("This text has control characters. Write it without them.")
    return text


PlainText = Annotated[str, AfterValidator(_without_controls)]
"""A text of a request that is stored as it is."""
Moment = Annotated[
    datetime, PlainSerializer(rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
Price = Annotated[Decimal, WithJsonSchema({"type": "number"})]
"""A price in its currency's major unit."""


def _member(field: str) -> str:
    return to_camel(field.removesuffix("_micro"))


class Schema(BaseModel):
    """The base of every response, also read from the attributes of a domain object.

    Every member is in the JSON; one with nothing to say is null.
    """

    model_config = ConfigDict(
        alias_generator=_member,
        populate_by_name=True,
        from_attributes=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
    )


class RequestSchema(BaseModel):
    """The base of request bodies; members that no route knows are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
