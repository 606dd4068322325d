"""Parameters that a catalog's entry sends with every request to its provider."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, PlainValidator

from creditapp.catalog.fields import KeyInvalid, ParameterName

_OWN_PARAMETERS: Final = frozenset(
    "prompt model n size quality image images mask stream partial_images".split()
)
"""Parameters that each request has by itself, or that would change the form of the answer."""

_PARAMETER_VALUES: Final = {
    # An address in the answer is not fetched.
    "response_format": ("b64_json",),
    "output_format": ("png", "jpeg", "webp"),
}


def _check_parameters(values: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
    for name, value in values.items():
        if name in _OWN_PARAMETERS:
            raise KeyInvalid(name, "is set by each request, or changes the form of the answer")
        allowed = _PARAMETER_VALUES.get(name)
        if allowed is not None and value not in allowed:
            raise KeyInvalid(name, f"must be {' or '.join(allowed)}")
    return values


def _parameter_value(value: object) -> str | int | bool:
    if not isinstance(value, str | int) or not re.fullmatch(r"[^\x00-\x1f]{1,60}", str(value)):
        raise ValueError("must be true, false, a whole number, or one line of 1 to 60 characters")
    return value


Parameters = Annotated[
    dict[ParameterName, Annotated[str | int | bool, PlainValidator(_parameter_value)]],
    Field(max_length=10),
    AfterValidator(_check_parameters),
]
"""Parameters for the provider by name, with their values."""
