"""Chat provider protocol: requests, events of a stream, usage.

Plain data and two methods, without Flask or a database. Failures are ``ProviderError``, as those of
the providers of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from creditapp.generation.providers import ProviderUnavailable, SourceFile

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "filtered"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation. ``repr`` hides the text, so that logs do not hold it."""

    role: Role
    text: str = field(repr=False)
    image_ids: tuple[str, ...] = ()
    images: tuple[SourceFile, ...] = ()
    """The files of ``image_ids``, once they are read for the vendor; they come before the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A conversation to answer; the route sets what the catalog's entry says."""

    messages: Sequence[ChatMessage]
    max_output_tokens: int
    model: str = ""
    """The vendor's name of the model; for a demonstration the catalog's id."""
    answers_as: str = ""
    """The name under which that model answers."""
    parameters: Mapping[str, str | int | bool] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further choices of the caller by OpenAI's names: temperature, stop and so on."""
    is_openais_own: bool = True
    """Whether the address is OpenAI's: other endpoints limit an answer by an older parameter."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedUsage:
    """Tokens as the vendor counted them so far, in one shape for all vendors.

    ``input_tokens`` are all tokens of the prompt: those read from the cache and those written to it
    are parts of them. ``output_tokens`` include reasoning. None is not reported. A later report
    replaces an earlier one.
    """

    input_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int | None = None
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer that is whole, or was cut by the limit or the vendor's rules."""

    reason: FinishReason


ChatEvent = TextDelta | ReportedUsage | Finished


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of texts, in their order."""

    vectors: Sequence[Sequence[float]] = field(repr=False)
    usage: ReportedUsage


class ChatProvider(Protocol):
    """A vendor of language models."""

    @property
    def name(self) -> str:
        """The name in the catalog and in rows, such as ``openai``."""
        ...

    def stream(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Yield the answer as it is written; one call, never repeated.

        After ``Finished`` only usage may come; without it, it raises ``ProviderError``. Closing
        the iterator closes the connection.
        """
        ...

    def embed(self, request: ChatRequest) -> Embedded:
        """Return the vector of each message's text; raise ``ProviderError``."""
        ...


def not_made_here() -> ProviderUnavailable:
    """Return the refusal of a kind of request that a vendor does not take."""
    detail = "This model has not been set up for this on this server."
    return ProviderUnavailable(detail, permanent=True, reason="not_made_here")
