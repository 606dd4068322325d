"""Parse requests of OpenAI's shape: what is not served is refused by its name, never ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from creditapp.api.requests import idempotency_key, pop_max_micro
from creditapp.catalog.models import ServedModel
from creditapp.errors import ModelNotFound, UnsupportedParameter, ValidationFailed
from creditapp.generation.funding import Caller
from creditapp.http.json_provider import validation_failed
from creditapp.http.viewer import caller

UNSUPPORTED: Final = "unsupported"
_NAME_CHARACTERS_MAX: Final = 64


class V1Body(BaseModel):
    """The base of bodies of OpenAI's shape. A member that is null counts as left out."""

    model_config = ConfigDict(extra="forbid")

    user: str | None = None
    safety_identifier: str | None = None


class Only:
    """Annotation of a parameter that is known, of which only these values are served."""

    def __init__(self, *values: object) -> None:
        self._values = values

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that lets these values pass."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        """Return the JSON schema of these values."""
        return {"enum": list(self._values)}

    def _check(self, value: object) -> object:
        for each in self._values:
            if value == each and isinstance(value, bool) == isinstance(each, bool):
                return value
        raise PydanticCustomError(UNSUPPORTED, "{only}", {"only": self._sentence()})

    def _sentence(self) -> str:
        if not any(self._values):
            return "This is not supported here; leave it out."
        return f"Only {' or '.join(map(str, self._values))} is supported here."


B = TypeVar("B", bound=V1Body)
M = TypeVar("M", bound=ServedModel)


def begin(body: dict[str, Any], route: str) -> tuple[Caller, str]:
    """Take the price limit and the idempotency key out of a body; return caller and key."""
    key = body.pop("idempotencyKey", None)
    if key is not None and not isinstance(key, str):
        raise ValidationFailed.of("idempotencyKey", "A key is 1-100 printable ASCII characters.")
    return caller(pop_max_micro(body)), idempotency_key(key, route)


def parse(schema: type[B], body: Mapping[str, Any]) -> B:
    """Return a body as a schema.

    Raises ``UnsupportedParameter`` for a parameter, or a value of it, that is not served, and
    ``ValidationFailed`` for any other fault.
    """
    sent = {name: value for name, value in body.items() if value is not None}
    try:
        return schema.model_validate(sent)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in details["loc"])[:80]
            if details["type"] == "extra_forbidden":
                raise UnsupportedParameter(name) from None
            if details["type"] == UNSUPPORTED:
                raise UnsupportedParameter(name, f"{name}: {details['msg']}") from None
            if details["type"] == "literal_error":
                expected = details.get("ctx", {}).get("expected", "")
                raise UnsupportedParameter(name, f"{name} is {expected} here.") from None
        raise validation_failed(error) from None


def find_model(models: Sequence[M], name: str | None, operation: str) -> M:
    """Return a model by its id here, or by its vendor's name; the first without a name.

    Raises ``ModelNotFound`` where none of this name does the operation.
    """
    able = [model for model in models if model.can(operation)]
    if name is None and able:
        return able[0]
    for model in able:
        if model.id == name:
            return model
    for model in able:
        if model.provider_model == name:
            return model
    raise no_such_model(name, operation)


def no_such_model(name: str | None, operation: str) -> ModelNotFound:
    """Return the refusal of a model that is not there, or does not do this."""
    shown = repr(name) if name and len(name) <= _NAME_CHARACTERS_MAX else "of this name"
    return ModelNotFound(f"There is no model {shown} for {operation} here; see GET /v1/models.")
