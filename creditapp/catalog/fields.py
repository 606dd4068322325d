"""Types of the fields of a catalog file.

An amount is a whole number or a decimal in quotes; a bare ``0.5`` is a binary fraction and is
refused before this runs. Amounts of credits become microcredits, and money becomes minor units of
the catalog's currency, which the validation context has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from creditapp.units import MICRO_MAX, MICRO_PER_CREDIT, charge_problem, decimals_text, minor_digits

UNKNOWN_KEY = "is not a key that a catalog has here"

_MONEY_MAX = Decimal(10**7)
_AMOUNT = 'must be a whole number or a decimal in quotes, such as "0.5"'


class Table(BaseModel):
    """A table of the file: strict, frozen, and without unknown keys.

    Every unknown key is refused, so that a misspelt price never becomes a default one. A field is
    named as in the file, or has the name in the file as its alias.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class KeyInvalid(ValueError):
    """A reason that belongs to a key below the table that refuses it."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        super().__init__(reason)


def minor_units(amount: Decimal, currency: str) -> int:
    """Return money in minor units; raise ``ValueError`` for a fraction of one."""
    minor = amount.scaleb(minor_digits(currency))
    if minor != minor.to_integral_value():
        raise ValueError(f"must have {decimals_text(currency)} in {currency}")
    return int(minor)


def price_minor(amount: Decimal, currency: str) -> int:
    """Return a price in minor units; raise ``ValueError`` for one that Stripe cannot charge.

    Zero is no charge.
    """
    minor = minor_units(amount, currency)
    problem = charge_problem(minor, currency) if minor else None
    if problem is not None:
        raise ValueError(problem)
    return minor


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(_AMOUNT)
    # Decimal() itself also reads exponents, underscores, "NaN" and other scripts' digits.
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", str(value)):
        raise ValueError(_AMOUNT)
    number = Decimal(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _credits(value: object) -> int:
    micro = _decimal(value) * MICRO_PER_CREDIT
    if micro > MICRO_MAX:
        raise ValueError(f"must be at most {MICRO_MAX // MICRO_PER_CREDIT:,} credits")
    if micro != micro.to_integral_value():
        raise ValueError("must have at most 6 decimals")
    return int(micro)


def _money(value: object) -> Decimal:
    number = _decimal(value)
    if number > _MONEY_MAX:
        raise ValueError(f"must be at most {_MONEY_MAX:,}")
    return number


def _minor(value: object, info: ValidationInfo) -> int:
    context: Mapping[str, str] = info.context or {}
    return minor_units(_money(value), context["currency"])


def _price(value: object, info: ValidationInfo) -> int:
    context: Mapping[str, str] = info.context or {}
    return price_minor(_decimal(value), context["currency"])


def _micros_usd(value: object) -> int:
    micros = _money(value) * 1_000_000
    if micros != micros.to_integral_value():
        raise ValueError("must have at most 6 decimals")
    return int(micros)


def _refuse_key(value: object) -> NoReturn:
    raise ValueError(UNKNOWN_KEY)


def _like(pattern: str, must: str) -> AfterValidator:
    """Return a validator of a text against a pattern; ``must`` is the reason to give."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(must)
        return value

    return AfterValidator(check)


T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A list in the file."""
Computed = Annotated[T, BeforeValidator(_refuse_key)]
"""A field that the program sets and a file cannot."""

CreditsOrNone = Annotated[int, BeforeValidator(_credits)]
Credits = Annotated[CreditsOrNone, Field(gt=0)]
Money = Annotated[Decimal, BeforeValidator(_money)]
Minor = Annotated[int, BeforeValidator(_minor)]
Price = Annotated[int, BeforeValidator(_price)]
"""Money that is charged through Stripe, or zero."""
Amount = Annotated[Decimal, BeforeValidator(_decimal)]
MicrosUsd = Annotated[int, BeforeValidator(_micros_usd)]
"""A provider's price for a million tokens, in millionths of a dollar."""

Id = Annotated[
    str,
    _like(
        r"(?=.{1,48}$)[a-z0-9]+([.-][a-z0-9]+)*",
        "must be lower-case letters, digits, dots and hyphens, at most 48",
    ),
]
Line = Annotated[str, _like(r"[^\x00-\x1f]{1,200}", "must be one line of 1 to 200 characters")]
Name = Annotated[str, _like(r"[^\x00-\x1f]{1,60}", "must be one line of 1 to 60 characters")]
Variable = Annotated[
    str, _like(r"[A-Z][A-Z0-9_]{0,63}", "must be a variable's name in capitals, such as MY_API_KEY")
]
ParameterName = Annotated[
    str, _like(r"[a-z][a-z0-9_]{0,39}", "must be a parameter's name, such as output_format")
]
Address = Annotated[
    str, _like(r"https?://\S{1,200}", "must be an address with http:// or https://")
]
Size = Annotated[str, _like(r"[1-9]\d{1,3}x[1-9]\d{1,3}", "must be pixels such as 1536x1024")]
Aspect = Annotated[str, _like(r"[1-9]\d?:[1-9]\d?", "must be a shape such as 3:2")]
Currency = Annotated[str, _like(r"[A-Z]{3}", "must be an ISO 4217 code such as USD")]
Seconds = Annotated[int, Field(ge=1, le=7200)]
