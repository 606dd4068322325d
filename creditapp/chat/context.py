"""The context of a model: how much of a conversation it reads."""

from __future__ import annotations

from collections.abc import Sequence

from creditapp.catalog.formatting import count
from creditapp.catalog.models import LanguageModel
from creditapp.chat.providers import ChatMessage
from creditapp.chat.usage import input_estimate
from creditapp.errors import ValidationFailed
from creditapp.rate_limits import CHAT_BYTES_MAX


def fit(model: LanguageModel, messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], int]:
    """Return the messages that the model reads, and how many it does not.

    The oldest turns are left out, whole, until the rest fits with the longest answer; instructions
    and the newest message stay. Raises ``ValidationFailed`` where these alone do not fit.
    """
    kept = list(messages)
    while not _fits(model, kept):
        oldest = _oldest_turn(kept)
        if not oldest:
            raise _too_long(model, kept)
        kept = [each for index, each in enumerate(kept) if index not in oldest]
    return kept, len(messages) - len(kept)


def _fits(model: LanguageModel, messages: Sequence[ChatMessage]) -> bool:
    size = sum(len(each.text.encode()) for each in messages)
    most = model.prompt_tokens
    return size <= CHAT_BYTES_MAX and (most is None or input_estimate(model, messages) <= most)


def _oldest_turn(messages: Sequence[ChatMessage]) -> set[int]:
    """Return the places of the oldest question and its answers; none if only the newest is left."""
    spoken = [index for index, each in enumerate(messages) if each.role != "system"]
    turn: set[int] = set()
    for index in spoken[:-1]:
        if turn and messages[index].role == "user":
            break
        turn.add(index)
    return turn


def _too_long(model: LanguageModel, messages: Sequence[ChatMessage]) -> ValidationFailed:
    estimate, most = input_estimate(model, messages), model.prompt_tokens
    if most is not None and estimate > most:
        about = f"about {count(estimate, 'token')}"
        detail = f"This message has {about}, and {model.name} reads at most {most:,}."
    else:
        detail = f"This message is longer than {CHAT_BYTES_MAX // 1024**2} MB."
    return ValidationFailed.of("messages", f"{detail} Shorten it, or choose another model.")
