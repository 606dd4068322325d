"""The base of every schema of the JSON API, and the types that they share.

Python writes snake_case, JSON camelCase. OpenAPI is generated from the schemas.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

Credits = Annotated[
    int | Decimal,
    WithJsonSchema({"type": "number", "description": "Credits, with at most 6 decimals."}),
]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Schema(BaseModel):
    """The base of every response; a member that is None is left out of the JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class RequestSchema(BaseModel):
    """The base of request bodies; members that no route knows are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
