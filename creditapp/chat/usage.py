"""Usage of a call: the vendor's count of tokens, or an estimate where it reported none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from creditapp.catalog import Catalog, token_cost_micro
from creditapp.catalog.models import LanguageModel
from creditapp.catalog.tokens import TOKENS_MAX, estimated_tokens
from creditapp.chat.models import UsageRecord
from creditapp.chat.providers import ChatMessage, ReportedUsage

MESSAGE_TOKENS = 8
"""The tokens of a message besides its text: its role, its beginning and its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """The tokens that a call is charged for; ``estimated`` if the vendor did not report all."""

    input_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = True

    def cost_micro(self, catalog: Catalog, model: LanguageModel) -> int:
        """Return the price."""
        return token_cost_micro(
            catalog,
            model,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached=self.cached_tokens,
            cache_write=self.cache_write_tokens,
        )


def input_estimate(model: LanguageModel, messages: Iterable[ChatMessage]) -> int:
    """Return about how many tokens a prompt has, on the high side."""
    tokens = sum(
        MESSAGE_TOKENS + estimated_tokens(_bytes(each)) + _of_images(model, each)
        for each in messages
    )
    return min(tokens, TOKENS_MAX)


def input_most(model: LanguageModel, messages: Iterable[ChatMessage]) -> int:
    """Return how many tokens a prompt has at most: no token is shorter than a byte."""
    tokens = sum(MESSAGE_TOKENS + _bytes(each) + _of_images(model, each) for each in messages)
    return min(tokens, TOKENS_MAX)


def count_tokens(reported: ReportedUsage, *, input_estimate: int, text: str) -> TokenUsage:
    """Return the usage of a call as the vendor reported it; the rest is estimated, never zero."""
    read, wrote = reported.input_tokens or 0, reported.output_tokens
    if not wrote and text:
        wrote = None
    input_tokens = read or input_estimate
    output_tokens = estimated_tokens(len(text.encode())) if wrote is None else wrote
    cached = min(reported.cached_tokens, input_tokens) if read else 0
    return TokenUsage(
        input_tokens=input_tokens,
        cached_tokens=cached,
        cache_write_tokens=min(reported.cache_write_tokens, input_tokens - cached) if read else 0,
        output_tokens=output_tokens,
        reasoning_tokens=min(reported.reasoning_tokens, output_tokens),
        estimated=not read or wrote is None,
    )


def stored_usage(record: UsageRecord) -> TokenUsage:
    """Return the usage that a record has, so far or for good."""
    return TokenUsage(
        input_tokens=record.input_tokens,
        cached_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        output_tokens=record.output_tokens,
        reasoning_tokens=record.reasoning_tokens,
        estimated=record.estimated,
    )


def _of_images(model: LanguageModel, message: ChatMessage) -> int:
    return model.image_tokens * len(message.image_ids)


def _bytes(message: ChatMessage) -> int:
    return len(message.text.encode())
