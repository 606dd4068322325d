"""Token prices: what a provider charges for a million tokens, by kind of token and prompt length.

In millionths of a US dollar for a million tokens, dated. Reasoning tokens are output tokens.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, PlainValidator, model_validator

from creditapp.catalog.fields import KeyInvalid, Many, MicrosUsd, Table
from creditapp.catalog.provider_costs import parse_day


class TokenPrices(Table):
    """The prices of one tier.

    ``cached_input`` is the price of input that the provider had in its cache, ``cache_write`` that
    of input that it puts there; both are the price of input unless they are given.
    """

    input_micros_usd: Annotated[MicrosUsd, Field(alias="input", gt=0)]
    cached_input_micros_usd: MicrosUsd = Field(
        default_factory=lambda data: data["input_micros_usd"], alias="cached_input"
    )
    cache_write_micros_usd: MicrosUsd = Field(
        default_factory=lambda data: data["input_micros_usd"], alias="cache_write"
    )
    output_micros_usd: MicrosUsd = Field(alias="output")

    @model_validator(mode="after")
    def _check_cache(self) -> Self:
        if self.cached_input_micros_usd > self.input_micros_usd:
            raise KeyInvalid("cached_input", "must not be dearer than input")
        if self.cache_write_micros_usd < self.input_micros_usd:
            raise KeyInvalid("cache_write", "must not be cheaper than input")
        return self

    @property
    def dearest_input_micros_usd(self) -> int:
        """The price of a token of input in the worst case: it is written to the cache."""
        return self.cache_write_micros_usd

    def is_at_least(self, other: TokenPrices) -> bool:
        """Whether no kind of token is cheaper than in ``other``."""
        return all(getattr(self, name) >= getattr(other, name) for name in TokenPrices.model_fields)


class TokenTier(TokenPrices):
    """The prices of every token of a request, output included, whose prompt is longer than this."""

    above_tokens: Annotated[int, Field(alias="above", ge=1, le=100_000_000)]


class DatedTokenPrices(TokenPrices):
    """The prices of a model on a day, with its tiers by the length of the prompt."""

    as_of: Annotated[date, PlainValidator(parse_day)]
    tiers: Many[TokenTier] = ()

    @model_validator(mode="after")
    def _check_tiers(self) -> Self:
        for tier, following in pairwise(self.tiers):
            if following.above_tokens <= tier.above_tokens:
                raise KeyInvalid("tiers", "must rise: each above more tokens")
        rising: tuple[TokenPrices, ...] = (self, *self.tiers)
        for prices, dearer in pairwise(rising):
            if not dearer.is_at_least(prices):
                raise KeyInvalid("tiers", "must rise: none is cheaper than the one before")
        return self

    def prices_at(self, input_tokens: int) -> TokenPrices:
        """Return the prices of a request by all the tokens of its prompt, cached ones included."""
        reached = [tier for tier in self.tiers if input_tokens > tier.above_tokens]
        return reached[-1] if reached else self
