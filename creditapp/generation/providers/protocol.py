"""What a provider of pictures is: requests, results, failures, and the protocol itself.

Plain data and one method. Nothing here knows Flask, a database or a vendor's SDK, so that a new
vendor is one module that implements ``Provider``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Protocol

from creditapp.errors import AppError

Progress = Callable[[float], None]
"""Called with the share of the whole request that is done, from 0 to 1, never falling."""

ShouldStop = Callable[[], bool]
"""Whether the person has asked to cancel; asked between pictures, and as often as is cheap."""

NO_USAGE: Mapping[str, int] = MappingProxyType({})


def _no_usage() -> Mapping[str, int]:
    return NO_USAGE


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A picture to start from; its bytes were verified when it was uploaded."""

    data: bytes = field(repr=False)
    mime_type: str


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One generation as a provider sees it; the prompt stays out of ``repr``, and so of logs."""

    prompt: str = field(repr=False)
    provider_model: str
    n: int = 1
    width: int = 1024
    height: int = 1024
    quality: str | None = None
    """One of the catalog's words; ``None`` leaves it to the model."""
    seed: int = 0
    images: tuple[SourceImage, ...] = ()
    one_call_each: bool = False
    """Ask for one picture a call, where an endpoint has no ``n``, or to settle each as it comes."""


@dataclass(frozen=True, slots=True)
class ProducedImage:
    """One delivered picture, verified to be one.

    ``provider_cost_micros_usd`` is what the vendor charges us for it in millionths of a dollar,
    ``None`` when it cannot be known; the parts of one call add up to the call's cost.
    ``usage`` is the vendor's count of tokens for the call, given with the call's first picture.
    """

    data: bytes = field(repr=False)
    mime_type: str
    width: int
    height: int
    provider_cost_micros_usd: int | None = None
    usage: Mapping[str, int] = field(default_factory=_no_usage)


class Provider(Protocol):
    """Somebody who makes pictures."""

    @property
    def name(self) -> str:
        """The name that the catalog and the records use, such as ``openai``."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether the same request may be made twice without a second cost or another result."""
        ...

    def generate_images(
        self, request: ImageRequest, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Yield each picture as it is delivered, at most ``request.n`` of them.

        What was yielded is delivered, whatever follows: the caller settles it even when the
        iterator then raises. Ending early without raising means that fewer came than were asked
        for, or that ``should_stop`` said so. Raises ``ProviderError`` and nothing else for what
        the vendor or the network did.
        """
        ...


class ProviderError(AppError):
    """A vendor did not deliver; a subclass for each code that the outside sees.

    ``permanent``: the same request will fail again. ``may_have_charged``: the vendor may bill us
    for it, or its outcome is unknown, so that it must not be repeated by itself. The text is for
    people; it never holds the prompt, a key or the vendor's answer.
    """

    status, code, title = 502, "generation_failed", "The picture could not be made"
    may_have_charged_usually: ClassVar[bool] = False
    permanent_usually: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        permanent: bool | None = None,
        may_have_charged: bool | None = None,
        provider_cost_micros_usd: int | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(detail, creditsCharged=0)
        self.permanent = self.permanent_usually if permanent is None else permanent
        self.may_have_charged = (
            self.may_have_charged_usually if may_have_charged is None else may_have_charged
        )
        self.provider_cost_micros_usd = provider_cost_micros_usd
        self.reason = reason
        """A short word for operators' logs and counters, such as ``http_500``; ours, not theirs."""


class GenerationFailed(ProviderError):
    """The vendor answered, with an error of its own or with something that is no picture."""

    may_have_charged_usually = True


class ProviderUnavailable(ProviderError):
    """The vendor cannot be asked: no key, a refused key, a quota, or nobody at that address."""

    status, code, title = 503, "provider_unavailable", "This model is not available right now"


class GenerationTimeout(ProviderError):
    """The vendor took too long; whether it made and charged the picture is unknown."""

    status, code, title = 504, "generation_timeout", "The model did not answer in time"
    may_have_charged_usually = True


class PromptRejected(ProviderError):
    """The vendor's rules forbid what was asked for; asking again will not help."""

    status, code, title = 422, "prompt_rejected", "The model refuses this prompt"
    permanent_usually = True
