"""Request parameters in Stripe's format: bracketed form fields, validated against a schema.

A schema is a mapping of the parameter types below. It is strict: like Stripe, it refuses unknown
parameters, so that a typo in the shop is found before it goes live.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_DEPTH_MAX = 12


def nested(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return fields such as ``a[b][0][c]=x`` as nested dicts; lists are dicts with numeric keys."""
    tree: dict[str, Any] = {}
    for name, value in fields:
        match = _NAME.match(name)
        keys = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])] if match else []
        if not keys or len(keys) > _DEPTH_MAX:
            raise StripeAPIError(f"Received unknown parameter: {name}", code="parameter_unknown")
        _place(tree, keys, value, name)
    return tree


def _place(tree: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    for key in keys[:-1]:
        inner = tree.setdefault(key or str(len(tree)), {})
        if not isinstance(inner, dict):
            raise StripeAPIError("Invalid object", param=name)
        tree = inner
    last = keys[-1] or str(len(tree))
    if isinstance(tree.get(last), dict):
        raise StripeAPIError("Invalid object", param=name)
    tree[last] = value


@dataclass(frozen=True, kw_only=True)
class Parameter(ABC):
    """A parameter type. If ``unsettable``, an empty text unsets the value."""

    required: bool = False
    unsettable: bool = False

    def read(self, value: Any, name: str) -> Any:
        """Return the typed value, or None if an empty text unsets it."""
        if value == "":
            if self.unsettable:
                return None
            raise StripeAPIError(
                f"You passed an empty string for '{name}'. We assume empty values are an attempt"
                f" to unset a parameter; however '{name}' cannot be unset. You should remove"
                f" '{name}' from your request or supply a non-empty value.",
                code="parameter_invalid_empty",
                param=name,
            )
        return self.parse(value, name)

    @abstractmethod
    def parse(self, value: Any, name: str) -> Any:
        """Return the typed value of a non-empty parameter."""


@dataclass(frozen=True, kw_only=True)
class Text(Parameter):
    """A text of bounded length."""

    length_max: int = 5000

    def parse(self, value: Any, name: str) -> str:
        """Refuse a value that is not a text or too long."""
        if not isinstance(value, str):
            raise StripeAPIError(f"Invalid string: {_shown(value)}", param=name)
        if len(value) > self.length_max:
            raise StripeAPIError(
                f"Invalid string: {value[:10]}...; must be at most {self.length_max} characters",
                param=name,
            )
        return value


@dataclass(frozen=True, kw_only=True)
class Url(Text):
    """An absolute http or https URL."""

    def parse(self, value: Any, name: str) -> str:
        """Refuse a text that is not such a URL."""
        text = super().parse(value, name)
        if not re.match(r"^https?://[^\s/]+", text):
            raise StripeAPIError("Not a valid URL", code="url_invalid", param=name)
        return text


@dataclass(frozen=True, kw_only=True)
class Integer(Parameter):
    """A whole number."""

    minimum: int | None = None
    maximum: int | None = None

    def parse(self, value: Any, name: str) -> int:
        """Refuse a value that is not a whole number or out of bounds."""
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
            raise StripeAPIError(
                f"Invalid integer: {_shown(value)}", code="parameter_invalid_integer", param=name
            )
        number = int(value)
        if self.minimum is not None and number < self.minimum:
            raise StripeAPIError(
                f"This value must be greater than or equal to {self.minimum}"
                f" (it currently is '{number}').",
                code="parameter_invalid_integer",
                param=name,
            )
        if self.maximum is not None and number > self.maximum:
            raise StripeAPIError(
                f"This value must be less than or equal to {self.maximum}"
                f" (it currently is '{number}').",
                code="parameter_invalid_integer",
                param=name,
            )
        return number


@dataclass(frozen=True, kw_only=True)
class Percent(Parameter):
    """A number above 0 and up to 100, with decimals."""

    def parse(self, value: Any, name: str) -> float:
        """Refuse any other value."""
        if not isinstance(value, str) or not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", value):
            raise StripeAPIError(f"Invalid decimal: {_shown(value)}", param=name)
        number = float(value)
        if not 0 < number <= 100:
            raise StripeAPIError(
                "Coupon percent_off must be greater than 0 and at most 100.", param=name
            )
        return number


@dataclass(frozen=True, kw_only=True)
class Boolean(Parameter):
    """``true`` or ``false``."""

    def parse(self, value: Any, name: str) -> bool:
        """Refuse any other value."""
        if value not in ("true", "false"):
            raise StripeAPIError(f"Invalid boolean: {_shown(value)}", param=name)
        return bool(value == "true")


@dataclass(frozen=True, kw_only=True)
class Choice(Parameter):
    """One of a fixed set of texts."""

    of: tuple[str, ...]

    def parse(self, value: Any, name: str) -> str:
        """Refuse any other value and list the allowed ones."""
        if value not in self.of:
            words = (
                f"{', '.join(self.of[:-1])}, or {self.of[-1]}" if len(self.of) > 1 else self.of[0]
            )
            raise StripeAPIError(f"Invalid {name}: must be one of {words}", param=name)
        return str(value)


@dataclass(frozen=True, kw_only=True)
class Array(Parameter):
    """A list of values of one type."""

    of: Parameter
    length_max: int = 100

    def parse(self, value: Any, name: str) -> list[Any]:
        """Return the typed values in the order of their indexes."""
        if not isinstance(value, Mapping) or not all(str(key).isdigit() for key in value):
            raise StripeAPIError("Invalid array", param=name)
        if len(value) > self.length_max:
            raise StripeAPIError(f"Array must have at most {self.length_max} elements", param=name)
        keys = sorted(value, key=int)
        return [self.of.read(value[key], f"{name}[{key}]") for key in keys]


@dataclass(frozen=True, kw_only=True)
class Metadata(Parameter):
    """Metadata: up to 50 keys of 40 characters without brackets, values of 500 characters."""

    unsettable: bool = True

    def parse(self, value: Any, name: str) -> dict[str, str]:
        """Refuse metadata over Stripe's limits. An empty value removes its key (``update``)."""
        if not isinstance(value, Mapping):
            raise StripeAPIError("Invalid object", param=name)
        if len(value) > 50:
            raise StripeAPIError("Metadata can have at most 50 keys", param=name)
        for key, text in value.items():
            inner = f"{name}[{key}]"
            if len(key) > 40:
                raise StripeAPIError("Metadata keys can be up to 40 characters long", param=inner)
            if not isinstance(text, str):
                raise StripeAPIError(f"Metadata values must be strings ({inner})", param=inner)
            if len(text) > 500:
                raise StripeAPIError("Metadata values can have up to 500 characters", param=inner)
        return dict(value)


@dataclass(frozen=True, kw_only=True)
class Object(Parameter):
    """An object with a fixed set of parameters."""

    of: Mapping[str, Parameter]

    def parse(self, value: Any, name: str) -> dict[str, Any]:
        """Refuse unknown and missing parameters, then parse each of them."""
        if not isinstance(value, Mapping):
            raise StripeAPIError("Invalid object", param=name)
        inner = {key: f"{name}[{key}]" if name else str(key) for key in {**value, **self.of}}
        unknown = [inner[key] for key in value if key not in self.of]
        if unknown:
            raise StripeAPIError(
                f"Received unknown parameter{'s' if len(unknown) > 1 else ''}:"
                f" {', '.join(unknown)}",
                code="parameter_unknown",
                param=unknown[0],
            )
        for key, parameter in self.of.items():
            if parameter.required and key not in value:
                raise StripeAPIError(
                    f"Missing required param: {inner[key]}.",
                    code="parameter_missing",
                    param=inner[key],
                )
        return {key: self.of[key].read(params, inner[key]) for key, params in value.items()}


@dataclass(frozen=True, kw_only=True)
class TimestampRange(Parameter):
    """A timestamp, or a range with ``gt``, ``gte``, ``lt``, ``lte``."""

    def parse(self, value: Any, name: str) -> dict[str, int]:
        """Return the bounds; a single timestamp is both the lower and the upper bound."""
        if isinstance(value, Mapping):
            bounds = {word: Integer() for word in ("gt", "gte", "lt", "lte")}
            return Object(of=bounds).parse(value, name)
        moment = Integer().parse(value, name)
        return {"gte": moment, "lte": moment}


def read(schema: Mapping[str, Parameter], fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the typed parameters of a request; raise ``StripeAPIError`` if invalid."""
    return Object(of=schema).parse(nested(fields), "")


def _shown(value: Any) -> str:
    return value[:80] if isinstance(value, str) else "an object"
