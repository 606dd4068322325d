"""The price of what is paid by the token: provider's price x credits for a provider's dollar."""

from __future__ import annotations

from dataclasses import dataclass

from creditapp.catalog.catalog import Catalog
from creditapp.catalog.formatting import count
from creditapp.catalog.models import LanguageModel
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


def token_cost_micro(
    catalog: Catalog,
    model: LanguageModel,
    *,
    input_tokens: int,
    output_tokens: int,
    cached: int = 0,
) -> int:
    """Return what a call cost by its usage; ``cached`` of the input were cached by the provider."""
    parts = _token_parts(catalog, model, input_tokens, cached, output_tokens)
    return divide_up(sum(part for _, part in parts), _PER_MILLION)


def affordable_output_tokens(
    catalog: Catalog, model: LanguageModel, *, input_tokens: int, balance_micro: int
) -> int:
    """Return how long an answer the balance can pay after its input, at most the model's limit.

    Zero means that not even the input is paid for, or that nothing is left for an answer.
    """
    scaled = balance_micro * _PER_MILLION // catalog.credits_per_provider_dollar
    left = scaled - input_tokens * model.input_micros_usd
    if left < 0:
        return 0
    if model.output_micros_usd == 0:
        return model.max_output_tokens
    return min(left // model.output_micros_usd, model.max_output_tokens)


def estimated_tokens(text_bytes: int) -> int:
    """Return about how many tokens a text of so many UTF-8 bytes has, on the high side."""
    return divide_up(text_bytes, BYTES_PER_TOKEN)


def token_lines(
    catalog: Catalog, model: LanguageModel, read: int, cached: int, wrote: int
) -> tuple[CostLine, ...]:
    """Return the parts of a call's cost.

    The running sum is rounded up, not each part, so that the lines add up to the rounded whole.
    """
    lines = []
    exact = before = 0
    for label, part in _token_parts(catalog, model, read, cached, wrote):
        exact += part
        after = divide_up(exact, _PER_MILLION)
        if part:
            lines.append(CostLine(label, after - before))
        before = after
    return tuple(lines)


def _token_parts(
    catalog: Catalog, model: LanguageModel, read: int, cached: int, wrote: int
) -> list[tuple[str, int]]:
    """Return each part in millionths of a microcredit: tokens x price x credits per dollar."""
    rate = catalog.credits_per_provider_dollar
    return [
        (f"{count(read - cached, 'token')} in", (read - cached) * model.input_micros_usd * rate),
        (f"{count(cached, 'token')} in, cached", cached * model.cached_input_micros_usd * rate),
        (f"{count(wrote, 'token')} out", wrote * model.output_micros_usd * rate),
    ]
