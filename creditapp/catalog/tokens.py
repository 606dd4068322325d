"""The price of what is paid by the token: provider's price x credits for a provider's dollar."""

from __future__ import annotations

from dataclasses import dataclass

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import count
from creditapp.catalog.models import LanguageModel
from creditapp.catalog.token_prices import TokenPrices
from creditapp.units import divide_up

TOKENS_MAX = 100_000_000
"""More than any context holds; keeps a cost far inside 64 bits."""

BYTES_PER_TOKEN = 3
"""Estimates are on the high side: English has about four, Chinese three (one character)."""

_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class CostLine:
    """One part of a cost."""

    label: str
    cost_micro: int


@dataclass(frozen=True, slots=True)
class MillionTokens:
    """The price of a million tokens of each kind, in microcredits."""

    input_micro: int
    cached_input_micro: int
    cache_write_micro: int
    output_micro: int


def million_tokens(catalog: Catalog, prices: TokenPrices) -> MillionTokens:
    """Return the prices of a model or of one of its tiers in credits."""
    # Millionths of a dollar for a million tokens, x credits per dollar, are microcredits for them.
    rate = catalog.credits_per_provider_dollar
    return MillionTokens(
        input_micro=prices.input_micros_usd * rate,
        cached_input_micro=prices.cached_input_micros_usd * rate,
        cache_write_micro=prices.cache_write_micros_usd * rate,
        output_micro=prices.output_micros_usd * rate,
    )


def token_cost_micro(
    catalog: Catalog,
    model: LanguageModel,
    *,
    input_tokens: int,
    output_tokens: int,
    cached: int = 0,
    cache_write: int = 0,
) -> int:
    """Return what a call cost by its usage.

    ``input_tokens`` are all tokens of the prompt; ``cached`` of them the provider had in its cache,
    ``cache_write`` of them it put there. All of them decide the tier.
    """
    parts = _token_parts(catalog, model, input_tokens, cached, cache_write, output_tokens)
    return divide_up(sum(part for _, part in parts), _PER_MILLION)


def worst_token_cost_micro(
    catalog: Catalog, model: LanguageModel, *, input_tokens: int, output_tokens: int
) -> int:
    """Return the most that a call of so many tokens can cost, whatever the provider caches."""
    return token_cost_micro(
        catalog,
        model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_write=input_tokens,
    )


def affordable_output_tokens(
    catalog: Catalog, model: LanguageModel, *, input_tokens: int, balance_micro: int
) -> int:
    """Return how long an answer the balance can pay after its input, at most the model's limit.

    The input counts in the worst case, that it is written to the provider's cache. Zero means that
    not even the input is paid for, or that nothing is left for an answer.
    """
    prices = model.prices_at(input_tokens)
    scaled = balance_micro * _PER_MILLION // catalog.credits_per_provider_dollar
    left = scaled - input_tokens * prices.dearest_input_micros_usd
    if left < 0:
        return 0
    if prices.output_micros_usd == 0:
        return model.max_output_tokens
    return min(left // prices.output_micros_usd, model.max_output_tokens)


def estimated_tokens(text_bytes: int) -> int:
    """Return about how many tokens a text of so many UTF-8 bytes has, on the high side."""
    return divide_up(text_bytes, BYTES_PER_TOKEN)


def token_lines(
    catalog: Catalog, model: LanguageModel, read: int, cached: int, wrote: int, cache_write: int = 0
) -> tuple[CostLine, ...]:
    """Return the parts of a call's cost.

    The running sum is rounded up, not each part, so that the lines add up to the rounded whole.
    """
    lines = []
    exact = before = 0
    for label, part in _token_parts(catalog, model, read, cached, cache_write, wrote):
        exact += part
        after = divide_up(exact, _PER_MILLION)
        if part:
            lines.append(CostLine(label, after - before))
        before = after
    return tuple(lines)


def _token_parts(
    catalog: Catalog, model: LanguageModel, read: int, cached: int, cache_write: int, wrote: int
) -> list[tuple[str, int]]:
    """Return each part in millionths of a microcredit: tokens x price x credits per dollar."""
    rate = catalog.credits_per_provider_dollar
    prices = model.prices_at(read)
    plain = read - cached - cache_write
    return [
        (f"{count(plain, 'token')} in", plain * prices.input_micros_usd * rate),
        (f"{count(cached, 'token')} in, cached", cached * prices.cached_input_micros_usd * rate),
        (
            f"{count(cache_write, 'token')} in, written to the cache",
            cache_write * prices.cache_write_micros_usd * rate,
        ),
        (f"{count(wrote, 'token')} out", wrote * prices.output_micros_usd * rate),
    ]
