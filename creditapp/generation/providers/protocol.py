"""Provider protocol: requests, results and errors.

Plain data and one method, without Flask, a database or a vendor's SDK: a new vendor is one module
that implements ``Provider``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Protocol

from creditapp.errors import AppError

Progress = Callable[[float], None]
"""Receives the done share of the whole request, from 0 to 1, never falling."""

ShouldStop = Callable[[], bool]
"""Return whether to stop; called between images, and as often as is cheap."""

NO_USAGE: Mapping[str, int] = MappingProxyType({})


def _no_usage() -> Mapping[str, int]:
    return NO_USAGE


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image to start from; its bytes were verified at the upload."""

    data: bytes = field(repr=False)
    mime_type: str


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One request to a provider. ``repr`` hides the prompt, so that logs do not hold it."""

    prompt: str = field(repr=False)
    provider_model: str
    n: int = 1
    width: int = 1024
    height: int = 1024
    quality: str | None = None
    """In the provider's own word; ``None`` leaves it to the model."""
    takes_size: bool = True
    parameters: Mapping[str, str | int | bool] = field(default_factory=dict)
    """Further parameters of the catalog's entry, sent as they are."""
    seed: int = 0
    images: tuple[SourceImage, ...] = ()
    one_call_each: bool = False
    """Make one call for each image: the endpoint has no ``n``, or each is settled as it arrives."""


@dataclass(frozen=True, slots=True)
class ProducedImage:
    """One delivered image, verified to be one.

    ``provider_cost_micros_usd`` is the vendor's price in millionths of a dollar, ``None`` when
    unknown; the parts of one call add up to the call's cost. ``usage`` counts the vendor's tokens
    of the call, given with its first image.
    """

    data: bytes = field(repr=False)
    mime_type: str
    width: int
    height: int
    provider_cost_micros_usd: int | None = None
    usage: Mapping[str, int] = field(default_factory=_no_usage)


class Provider(Protocol):
    """A maker of images."""

    @property
    def name(self) -> str:
        """The name in the catalog and in rows, such as ``openai``."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether repeating a request costs nothing more and gives the same result."""
        ...

    def generate_images(
        self, request: ImageRequest, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Yield each image as it is delivered, at most ``request.n`` of them.

        The caller settles every yielded image, even when the iterator then raises. Ending early
        without raising means that fewer images came than were requested, or that ``should_stop``
        returned true. Raises only ``ProviderError`` for failures of the vendor or the network.
        """
        ...


class ProviderError(AppError):
    """A vendor did not deliver; one subclass for each public error code.

    ``permanent``: the same request will fail again. ``may_have_charged``: the vendor may bill us,
    or the outcome is unknown, so the request must not be repeated automatically. The text is for
    users and never holds the prompt, a key or the vendor's answer.
    """

    status, code, title = 502, "generation_failed", "The image could not be made"
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
        """A short code for logs and metrics, such as ``http_500``; never the vendor's text."""


class GenerationFailed(ProviderError):
    """The vendor answered with an error of its own, or with something that is no image."""

    may_have_charged_usually = True


class ProviderUnavailable(ProviderError):
    """The vendor cannot be called: no key, a refused key, a spent quota, or no server there."""

    status, code, title = 503, "provider_unavailable", "This model is not available right now"


class GenerationTimeout(ProviderError):
    """The vendor took too long; whether it made and charged the image is unknown."""

    status, code, title = 504, "generation_timeout", "The model did not answer in time"
    may_have_charged_usually = True


class PromptRejected(ProviderError):
    """The vendor's rules forbid the prompt; repeating it does not help."""

    status, code, title = 422, "prompt_rejected", "The model refuses this prompt"
    permanent_usually = True
