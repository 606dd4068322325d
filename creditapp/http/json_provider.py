"""JSON reading and writing: amounts are exact decimals, never floats."""

from __future__ import annotations

import json as stdlib_json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar

import msgspec
from flask import Response, current_app, request
from flask.json.provider import JSONProvider
from pydantic import BaseModel, ValidationError

from creditapp.errors import MalformedRequest, UnsupportedMediaType, ValidationFailed
from creditapp.rate_limits import JSON_MEMBERS_MAX

Parsed = TypeVar("Parsed", bound=BaseModel)

ERRORS_MAX = 20
"""Maximum number of validation errors returned."""

# An error names its field four times: a name as long as the body would return 4 MB.
_FIELD_CHARACTERS_MAX = 80

_MESSAGES = {
    "missing": "{field} is missing.",
    "extra_forbidden": "There is no field {field} here.",
    "int_type": "{field} is a whole number.",
    "int_parsing": "{field} is a whole number.",
    "int_from_float": "{field} is a whole number.",
    "greater_than": "{field} is more than {gt}.",
    "greater_than_equal": "{field} is at least {ge}.",
    "less_than_equal": "{field} is at most {le}.",
    "string_type": "{field} is a text.",
    "list_type": "{field} is a list.",
    "too_short": "{field} has at least {min_length} items.",
    "too_long": "{field} has at most {max_length} items.",
    "string_too_short": "{field} has at least {min_length} characters.",
    "string_too_long": "{field} has at most {max_length} characters.",
}
"""Messages for the validation errors that users may see, by pydantic's error type."""

_FIELD_MESSAGES = {("n", "greater_than_equal"): "At least {ge} image."}
"""Messages for fields whose name means nothing to a user."""


def _encode_other(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} is not JSON")


# decimal_format="number" writes Decimal("0.000001") as those very digits; a float would be 1e-06.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_encode_other)


class ExactJson(JSONProvider):
    """Flask's JSON provider with exact decimals and RFC 3339 moments."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        """Return the JSON text of an object."""
        return _encoder.encode(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Return the object of a JSON text; a fraction becomes a ``Decimal``.

        Raises ``RepeatedMember`` or another ``ValueError``.
        """
        return stdlib_json.loads(
            s,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeated,
        )


class RepeatedMember(ValueError):
    """An object has two members of one name: which of them counts is unpredictable (RFC 8259)."""


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        raise RepeatedMember(counted.most_common(1)[0][0])
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def json_response(
    data: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON response that no cache stores: it is about one caller."""
    response = Response(_encoder.encode(data), status=status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def json_text(data: object) -> str:
    """Return the JSON text of an object, as ``json_response`` sends it."""
    return _encoder.encode(data).decode()


def read_json() -> dict[str, Any]:
    """Return the request's JSON object.

    Raises ``UnsupportedMediaType`` without the JSON content type, and ``MalformedRequest`` for
    anything but an object or for more than ``JSON_MEMBERS_MAX`` members. Only top-level members are
    counted: a conversation may be long.
    """
    body = read_json_value()
    if not isinstance(body, dict):
        raise MalformedRequest("The body is a JSON object.")
    if len(body) > JSON_MEMBERS_MAX:
        raise MalformedRequest(f"The body has more than {JSON_MEMBERS_MAX} members.")
    return body


def read_json_value() -> Any:
    """Return the value of the request's JSON, whatever it is; raise as ``read_json`` does."""
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        return current_app.json.loads(request.get_data(cache=True))
    except RepeatedMember as error:
        text = f"An object of the body has the member {quoted(str(error))} twice."
        raise MalformedRequest(text) from None
    except (ValueError, RecursionError, InvalidOperation):
        raise MalformedRequest("The body is not valid JSON.") from None


def quoted(name: str) -> str:
    """Return a name that a caller sent for a sentence: bounded, without any control character."""
    return stdlib_json.dumps(_shortened(name))


def parse_members(schema: type[Parsed], members: object) -> Parsed:
    """Return the value of a JSON text as a schema; raise ``ValidationFailed``."""
    try:
        return schema.model_validate(members)
    except ValidationError as error:
        raise validation_failed(error) from None


def validation_failed(error: ValidationError) -> ValidationFailed:
    """Return pydantic's first errors as ours, without repeating the value that was sent."""
    errors = []
    for details in error.errors(include_url=False, include_input=False)[:ERRORS_MAX]:
        field = _shortened(".".join(str(part) for part in details["loc"])) or "body"
        template = _FIELD_MESSAGES.get((field, details["type"]), _MESSAGES.get(details["type"]))
        message = str(details["msg"]).removeprefix("Value error, ")
        if template is not None:
            message = template.format(field=field, **details.get("ctx", {}))
        errors.append({"field": field, "message": message})
    return ValidationFailed(errors)


def _shortened(name: str) -> str:
    return name if len(name) <= _FIELD_CHARACTERS_MAX else f"{name[:_FIELD_CHARACTERS_MAX]}…"
