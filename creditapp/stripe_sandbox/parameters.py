"""Parameters as Stripe reads them: form fields with brackets, checked against a table.

A table is made of the small kinds below and is strict: what it does not name is refused as
Stripe refuses it, so that a typo in the shop is found here and not on the day it goes live.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from creditapp.stripe_sandbox.errors import Refused

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_DEPTH_MAX = 12


def nested(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return ``a[b][0][c]=x`` as nested dicts; lists are dicts with numbers as keys here."""
    tree: dict[str, Any] = {}
    for name, value in fields:
        match = _NAME.match(name)
        keys = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])] if match else []
        if not keys or len(keys) > _DEPTH_MAX:
            raise Refused(f"Received unknown parameter: {name}", code="parameter_unknown")
        _place(tree, keys, value, name)
    return tree


def _place(tree: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    for key in keys[:-1]:
        inner = tree.setdefault(key or str(len(tree)), {})
        if not isinstance(inner, dict):
            raise Refused("Invalid object", param=name)
        tree = inner
    last = keys[-1] or str(len(tree))
    if isinstance(tree.get(last), dict):
        raise Refused("Invalid object", param=name)
    tree[last] = value


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """What a parameter may be. ``unsettable`` ones accept the empty text as "none"."""

    required: bool = False
    unsettable: bool = False

    def read(self, value: Any, name: str) -> Any:
        """Return the typed value, or None where the empty text unsets it."""
        if value == "":
            if self.unsettable:
                return None
            raise Refused(
                f"You passed an empty string for '{name}'. We assume empty values are an attempt"
                f" to unset a parameter; however '{name}' cannot be unset. You should remove"
                f" '{name}' from your request or supply a non-empty value.",
                code="parameter_invalid_empty",
                param=name,
            )
        return self.parse(value, name)

    @abstractmethod
    def parse(self, value: Any, name: str) -> Any:
        """Return the typed value of what is not empty."""


@dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """A text of bounded length."""

    length_max: int = 5000

    def parse(self, value: Any, name: str) -> str:
        """Refuse what is no text or too long."""
        if not isinstance(value, str):
            raise Refused(f"Invalid string: {_shown(value)}", param=name)
        if len(value) > self.length_max:
            raise Refused(
                f"Invalid string: {value[:10]}...; must be at most {self.length_max} characters",
                param=name,
            )
        return value


@dataclass(frozen=True, kw_only=True)
class Address(Text):
    """An address to go to: absolute, http or https."""

    def parse(self, value: Any, name: str) -> str:
        """Refuse what a browser could not open."""
        text = super().parse(value, name)
        if not re.match(r"^https?://[^\s/]+", text):
            raise Refused("Not a valid URL", code="url_invalid", param=name)
        return text


@dataclass(frozen=True, kw_only=True)
class Integer(Kind):
    """A whole number."""

    minimum: int | None = None
    maximum: int | None = None

    def parse(self, value: Any, name: str) -> int:
        """Refuse what is no whole number or out of bounds."""
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
            raise Refused(
                f"Invalid integer: {_shown(value)}", code="parameter_invalid_integer", param=name
            )
        number = int(value)
        if self.minimum is not None and number < self.minimum:
            raise Refused(
                f"This value must be greater than or equal to {self.minimum}"
                f" (it currently is '{number}').",
                code="parameter_invalid_integer",
                param=name,
            )
        if self.maximum is not None and number > self.maximum:
            raise Refused(
                f"This value must be less than or equal to {self.maximum}"
                f" (it currently is '{number}').",
                code="parameter_invalid_integer",
                param=name,
            )
        return number


@dataclass(frozen=True, kw_only=True)
class Percent(Kind):
    """A number above 0 and up to 100, with decimals."""

    def parse(self, value: Any, name: str) -> float:
        """Refuse what is no such number."""
        if not isinstance(value, str) or not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", value):
            raise Refused(f"Invalid decimal: {_shown(value)}", param=name)
        number = float(value)
        if not 0 < number <= 100:
            raise Refused("Coupon percent_off must be greater than 0 and at most 100.", param=name)
        return number


@dataclass(frozen=True, kw_only=True)
class Boolean(Kind):
    """``true`` or ``false``."""

    def parse(self, value: Any, name: str) -> bool:
        """Refuse every other word."""
        if value not in ("true", "false"):
            raise Refused(f"Invalid boolean: {_shown(value)}", param=name)
        return bool(value == "true")


@dataclass(frozen=True, kw_only=True)
class Choice(Kind):
    """One of a few words."""

    of: tuple[str, ...]

    def parse(self, value: Any, name: str) -> str:
        """Refuse every other word, naming the right ones."""
        if value not in self.of:
            words = (
                f"{', '.join(self.of[:-1])}, or {self.of[-1]}" if len(self.of) > 1 else self.of[0]
            )
            raise Refused(f"Invalid {name}: must be one of {words}", param=name)
        return str(value)


@dataclass(frozen=True, kw_only=True)
class Items(Kind):
    """A list of one kind."""

    of: Kind
    length_max: int = 100

    def parse(self, value: Any, name: str) -> list[Any]:
        """Read each, in the order of its number."""
        if not isinstance(value, Mapping) or not all(str(key).isdigit() for key in value):
            raise Refused("Invalid array", param=name)
        if len(value) > self.length_max:
            raise Refused(f"Array must have at most {self.length_max} elements", param=name)
        keys = sorted(value, key=int)
        return [self.of.read(value[key], f"{name}[{key}]") for key in keys]


@dataclass(frozen=True, kw_only=True)
class Labels(Kind):
    """Metadata: at most 50 names of 40 letters without brackets, texts of 500."""

    unsettable: bool = True

    def parse(self, value: Any, name: str) -> dict[str, str]:
        """Refuse more than Stripe keeps. An empty text removes the name (``update``)."""
        if not isinstance(value, Mapping):
            raise Refused("Invalid object", param=name)
        if len(value) > 50:
            raise Refused("Metadata can have at most 50 keys", param=name)
        for key, text in value.items():
            inner = f"{name}[{key}]"
            if len(key) > 40:
                raise Refused("Metadata keys can be up to 40 characters long", param=inner)
            if not isinstance(text, str):
                raise Refused(f"Metadata values must be strings ({inner})", param=inner)
            if len(text) > 500:
                raise Refused("Metadata values can have up to 500 characters", param=inner)
        return dict(value)


@dataclass(frozen=True, kw_only=True)
class Fields(Kind):
    """An object with named parameters, and no others."""

    of: Mapping[str, Kind]

    def parse(self, value: Any, name: str) -> dict[str, Any]:
        """Refuse unknown and missing names, then read each."""
        if not isinstance(value, Mapping):
            raise Refused("Invalid object", param=name)
        inner = {key: f"{name}[{key}]" if name else str(key) for key in {**value, **self.of}}
        unknown = [inner[key] for key in value if key not in self.of]
        if unknown:
            raise Refused(
                f"Received unknown parameter{'s' if len(unknown) > 1 else ''}:"
                f" {', '.join(unknown)}",
                code="parameter_unknown",
                param=unknown[0],
            )
        for key, kind in self.of.items():
            if kind.required and key not in value:
                raise Refused(
                    f"Missing required param: {inner[key]}.",
                    code="parameter_missing",
                    param=inner[key],
                )
        return {key: self.of[key].read(given, inner[key]) for key, given in value.items()}


@dataclass(frozen=True, kw_only=True)
class Moments(Kind):
    """A moment, or a range of moments with ``gt``, ``gte``, ``lt``, ``lte``."""

    def parse(self, value: Any, name: str) -> dict[str, int]:
        """Return the bounds in either case."""
        if isinstance(value, Mapping):
            bounds = {word: Integer() for word in ("gt", "gte", "lt", "lte")}
            return Fields(of=bounds).parse(value, name)
        moment = Integer().parse(value, name)
        return {"gte": moment, "lte": moment}


def read(table: Mapping[str, Kind], fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a request's parameters, typed; raise ``Refused`` for what the table does not allow."""
    return Fields(of=table).parse(nested(fields), "")


def _shown(value: Any) -> str:
    return value[:80] if isinstance(value, str) else "an object"
