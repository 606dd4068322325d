"""Schema of a catalog file: one pydantic model for each table.

Strict, and every unknown key is refused, so that a misspelt price never becomes a default one.
An amount is a whole number or a decimal in quotes; a bare ``0.5`` is a binary fraction and is
refused before this runs. Amounts of credits become microcredits here; money stays a decimal until
``load`` knows its currency.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from creditapp.catalog.plan_kinds import KindName
from creditapp.units import MICRO_MAX, MICRO_PER_CREDIT

_MONEY_MAX = Decimal(10**7)
_AMOUNT = 'must be a whole number or a decimal in quotes, such as "0.5"'


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
    number = _decimal(value)
    if number == 0:
        raise ValueError("must be greater than zero")
    micro = number * MICRO_PER_CREDIT
    if micro > MICRO_MAX:
        raise ValueError(f"must be at most {MICRO_MAX // MICRO_PER_CREDIT:,} credits")
    if micro != micro.to_integral_value():
        raise ValueError("must have at most 6 decimals")
    return int(micro)


def _credits_or_none(value: object) -> int:
    return 0 if _decimal(value) == 0 else _credits(value)


def _money(value: object) -> Decimal:
    number = _decimal(value)
    if number > _MONEY_MAX:
        raise ValueError(f"must be at most {_MONEY_MAX:,}")
    return number


def _provider_price(value: object) -> int:
    micros = _money(value) * 1_000_000
    if micros != micros.to_integral_value():
        raise ValueError("must have at most 6 decimals")
    return int(micros)


Credits = Annotated[int, BeforeValidator(_credits)]
CreditsOrNone = Annotated[int, BeforeValidator(_credits_or_none)]
Money = Annotated[Decimal, BeforeValidator(_money)]
MicrosUsd = Annotated[int, BeforeValidator(_provider_price)]
"""A provider's price for a million tokens, in millionths of a dollar."""


def _like(pattern: str, must: str) -> AfterValidator:
    """Return a validator of a text against a pattern; ``must`` says what is allowed."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(must)
        return value

    return AfterValidator(check)


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
Address = Annotated[
    str, _like(r"https?://\S{1,200}", "must be an address with http:// or https://")
]
Size = Annotated[str, _like(r"[1-9]\d{1,3}x[1-9]\d{1,3}", "must be pixels such as 1536x1024")]
Aspect = Annotated[str, _like(r"[1-9]\d?:[1-9]\d?", "must be a shape such as 3:2")]
Currency = Annotated[str, _like(r"[A-Z]{3}", "must be an ISO 4217 code such as USD")]
Seconds = Annotated[int, Field(ge=1, le=7200)]
Shapes = Annotated[dict[Aspect, Size], Field(min_length=1)]
ImageOperation = Literal["text-to-image", "image-to-image"]
TokenOperation = Literal["chat", "agent", "summarize", "embeddings"]


class Table(BaseModel):
    """A table of the file: strict, without unknown keys, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ServedTable(Table):
    """The provider of an entry; by default OpenAI or the endpoint at ``OPENAI_BASE_URL``."""

    provider: Literal["openai", "offline"] = "openai"
    provider_model: Name = ""
    key_env: Variable = "OPENAI_API_KEY"
    base_url_env: Variable = "OPENAI_BASE_URL"
    base_url: Address | None = None
    gateway: bool = False


class ModelTable(ServedTable):
    """``[[models]]``: an image model, with ``price`` or ``prices`` by quality."""

    provider_model: Name
    id: Id
    name: Name
    tier: Literal["budget", "standard", "premium"]
    best_for: Name
    price: Credits | None = None
    prices: Annotated[dict[Id, Credits], Field(min_length=1)] | None = None
    default_quality: Id | None = None
    operations: Annotated[list[ImageOperation], Field(min_length=1)] = [
        "text-to-image",
        "image-to-image",
    ]
    shapes: Shapes | None = None
    max_images: Annotated[int, Field(ge=1, le=10)] = 4
    guests: bool = False
    typical_seconds: Seconds = 10
    native_n: bool = False


class LanguageModelTable(ServedTable):
    """``[[language_models]]``: US dollars for a million tokens, as the provider charges them."""

    provider_model: Name
    id: Id
    name: Name
    best_for: Name
    operations: Annotated[list[TokenOperation], Field(min_length=1)] = [
        "chat",
        "agent",
        "summarize",
    ]
    input: MicrosUsd
    cached_input: MicrosUsd | None = None
    output: MicrosUsd
    max_output_tokens: Annotated[int, Field(ge=0, le=1_000_000)]


class StepTable(Table):
    """One step of a price by length."""

    up_to_seconds: Seconds
    price: Credits


class OperationTable(ServedTable):
    """``[operations.upscale]`` and the like: an operation with a price of its own."""

    name: Name
    price: Credits | None = None
    per_seconds: Seconds | None = None
    max_seconds: Seconds | None = None
    steps: Annotated[list[StepTable], Field(min_length=1)] | None = None
    characters_per_second: Annotated[int, Field(ge=1, le=100)] | None = None
    typical_seconds: Seconds = 30
    voices: list[Id] = []


class OperationsTable(Table):
    """``[operations]``: those left out are not offered."""

    upscale: OperationTable | None = None
    video: OperationTable | None = None
    audio: OperationTable | None = None
    lipsync: OperationTable | None = None


class PackTable(Table):
    """``[[packs]]``: credits for one payment."""

    id: Id
    name: Name
    price: Money
    prices: dict[Currency, Money] = Field(default_factory=dict)
    credits: Credits
    best_value: bool = False
    stripe_price_id: Name | None = None
    stripe_price_env: Variable | None = None


class PlanTable(Table):
    """``[[plans]]``: a subscription; the first one is ``free``."""

    id: Id
    name: Name
    tagline: Line
    kind: KindName = "credits"
    month: Money
    year: Money
    credits: CreditsOrNone
    unused: Literal["expire", "carry", "keep"] = "keep"
    carry_months: Annotated[int, Field(ge=0, le=24)] = 0
    seats_min: Annotated[int, Field(ge=1, le=1000)] = 1
    seats_max: Annotated[int, Field(ge=1, le=1000)] = 1
    trial_days: Annotated[int, Field(ge=0, le=365)] = 0
    trial_credits: CreditsOrNone = 0
    stripe_month_id: Name | None = None
    stripe_month_env: Variable | None = None
    stripe_year_id: Name | None = None
    stripe_year_env: Variable | None = None


class GuestsTable(Table):
    """``[guests]``: the free generations without an account."""

    limit: Annotated[int, Field(ge=0, le=1000)]
    window_hours: Annotated[int, Field(ge=1, le=24 * 30)]
    daily_budget: Annotated[int, Field(ge=0, le=10_000_000)]


class StudioTable(Table):
    """``[studio]``: the defaults of the studio."""

    default_model: Id
    recommended_images: Annotated[int, Field(ge=1, le=1000)] = 20
    examples: Annotated[list[Line], Field(min_length=3, max_length=3)]
    shapes: Shapes


class BulkTable(Table):
    """One tier of ``[[agents.bulk]]``; without any, every credit costs the same."""

    from_count: Annotated[int, Field(ge=2)]
    price: Money


class AgentsTable(Table):
    """``[agents]``: the image credits that agents buy."""

    price: Money
    count_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    model: Id
    subjects: Annotated[list[Name], Field(min_length=1)]
    bulk: list[BulkTable] = []


class CatalogTable(Table):
    """A whole file."""

    name: Id
    unit: Literal["credits", "dollars"]
    currency: Currency
    api_key_mode: Literal["credits", "own"]
    credits_per_provider_dollar: Annotated[int, Field(ge=1, le=1_000_000)]
    welcome: CreditsOrNone
    low_balance: CreditsOrNone
    token_minimum: CreditsOrNone
    guests: GuestsTable
    studio: StudioTable
    models: Annotated[list[ModelTable], Field(min_length=1)]
    language_models: list[LanguageModelTable] = []
    operations: OperationsTable = OperationsTable()
    packs: list[PackTable] = []
    plans: Annotated[list[PlanTable], Field(min_length=1)]
    agents: AgentsTable
