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

NO_USAGE: Mapping[str, int] = MappingProxyType({})


def _no_usage() -> Mapping[str, int]:
    return NO_USAGE


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to start from: an image, a voice or a video, verified when it came in."""

    data: bytes = field(repr=False)
    mime_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a provider. ``repr`` hides what the user wrote, so that logs do not hold it.

    The route sets the model and the parameters, from the catalog's entry.
    """

    provider_model: str = ""
    """The vendor's name of the model; for a preview the catalog's id."""
    answers_as: str = ""
    """The name under which that model answers, where an answer names its model."""
    parameters: Mapping[str, str | int | bool] = field(default_factory=dict)
    """Further parameters of the catalog's entry, sent as they are."""
    seed: int = 0

    @property
    def starts_from_image(self) -> bool:
        """Whether it starts from an image: some vendors have a model of its own for that."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest(Request):
    """Images from a text, or with ``images`` from other images."""

    prompt: str = field(repr=False)
    n: int = 1
    width: int = 1024
    height: int = 1024
    quality: str | None = None
    """In the provider's own word; ``None`` leaves it to the model."""
    takes_size: bool = True
    takes_seed: bool = False
    negative_prompt: str | None = field(default=None, repr=False)
    """For models that take it: things that the image must not show."""
    style: str | None = None
    """One of the model's styles in the catalog."""
    images: tuple[SourceFile, ...] = ()
    mask: SourceFile | None = None
    """A PNG of the first image's size, transparent where that image may change."""
    partial_images: int = 0
    """How many unfinished states of each image to show, where the vendor sends some."""
    one_call_each: bool = False
    """Make one call for each image: the endpoint has no ``n``, or each is settled as it arrives."""

    @property
    def starts_from_image(self) -> bool:
        """Whether other images are given."""
        return bool(self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleRequest(Request):
    """A larger version of an image; ``width`` and ``height`` are those of the result."""

    image: SourceFile
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRequest(Request):
    """A video from a text, or with ``image`` from its first frame."""

    prompt: str = field(repr=False)
    seconds: int
    width: int
    height: int
    image: SourceFile | None = None

    @property
    def starts_from_image(self) -> bool:
        """Whether the first frame is given."""
        return self.image is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest(Request):
    """A text to speak. ``format`` is ``mp3``, ``wav``, ``ogg`` or another of the catalog's."""

    text: str = field(repr=False)
    voice: str
    format: str = "mp3"


@dataclass(frozen=True, slots=True, kw_only=True)
class LipsyncRequest(Request):
    """A face, in an image or a video, whose mouth follows a voice of ``seconds``, rounded up."""

    face: SourceFile
    voice: SourceFile
    seconds: int

    @property
    def starts_from_image(self) -> bool:
        """Whether the face is in an image, not in a video."""
        return self.face.mime_type.startswith("image/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedFile:
    """One delivered file, verified to be what it says.

    ``milliseconds`` is the length of audio and video. ``provider_cost_micros_usd`` is the vendor's
    price in millionths of a dollar, ``None`` when unknown; the parts of one call add up to the
    call's cost. ``usage`` counts the vendor's tokens of the call, given with its first file.
    """

    data: bytes = field(repr=False)
    mime_type: str
    width: int | None = None
    height: int | None = None
    milliseconds: int | None = None
    provider_cost_micros_usd: int | None = None
    usage: Mapping[str, int] = field(default_factory=_no_usage)


def _nothing(_value: object) -> None:
    """Ignore a value."""


def _no_image(_data: bytes, _mime_type: str) -> None:
    """Ignore an image."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The connection of a request with the generation that it is made for."""

    progress: Callable[[float], None] = _nothing
    """Receives the done share of the whole request, from 0 to 1, never falling."""
    should_stop: Callable[[], bool] = _never
    """Return whether to stop; called between files, and as often as is cheap."""
    is_canceled: Callable[[], bool] = _never
    """Return whether to stop because the owner canceled, so that a vendor's job may be ended."""
    note_partial: Callable[[bytes, str], None] = _no_image
    """Receives the bytes and the type of an unfinished state of an image that was asked for."""
    note_job: Callable[[str], None] = _nothing
    """Stores the vendor's id of a job that was submitted, before the first poll of it."""
    job: str | None = None
    """The id that an earlier attempt stored: the job is polled and not submitted again."""


class Provider(Protocol):
    """A maker of images, audio or video."""

    @property
    def name(self) -> str:
        """The name in the catalog and in rows, such as ``openai``."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether repeating a request costs nothing more and gives the same result."""
        ...

    @property
    def makes(self) -> frozenset[type[Request]]:
        """The kinds of requests that it takes."""
        ...

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield each file as it is delivered, at most as many as were ordered.

        The caller settles every yielded file, even when the iterator then raises. Ending early
        without raising means that fewer files came than were ordered, or that ``should_stop``
        returned true. Raises only ``ProviderError`` for failures of the vendor or the network.
        """
        ...


class ProviderError(AppError):
    """A vendor did not deliver; one subclass for each public error code.

    ``permanent``: the same request will fail again. ``may_have_charged``: the vendor may bill us,
    or the outcome is unknown, so the request must not be repeated automatically. The text is for
    users and never holds the prompt, a key or the vendor's answer.
    """

    status, code, title = 502, "generation_failed", "This could not be made"
    sentence: ClassVar[str] = "This could not be made. Try again, or choose another model."
    """The text, unless a failure has one of its own."""
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
        super().__init__(detail or self.sentence, creditsCharged=0)
        self.permanent = self.permanent_usually if permanent is None else permanent
        self.may_have_charged = (
            self.may_have_charged_usually if may_have_charged is None else may_have_charged
        )
        self.provider_cost_micros_usd = provider_cost_micros_usd
        self.reason = reason
        """A short code for logs and metrics, such as ``http_500``; never the vendor's text."""


class GenerationFailed(ProviderError):
    """The vendor answered with an error of its own, or with something else than was ordered."""

    may_have_charged_usually = True


class ProviderUnavailable(ProviderError):
    """The vendor cannot be called: no key, a refused key, a spent quota, or no server there."""

    status, code, title = 503, "provider_unavailable", "This model is not available right now"
    sentence = "This model is not available right now. Choose another one, or try again later."


class KeyRefused(ProviderUnavailable):
    """The vendor does not accept the key."""

    sentence = "The model's vendor does not accept the key of this server."
    permanent_usually = True


class AccountEmpty(ProviderUnavailable):
    """The account of the key is empty at the vendor: only a payment helps."""

    sentence = "The account of this server at the model's vendor is empty."
    permanent_usually = True


class GenerationTimeout(ProviderError):
    """The vendor took too long; whether it made and charged it is unknown."""

    status, code, title = 504, "generation_timeout", "The model did not answer in time"
    sentence = "The model did not answer in time. Try again, or choose another one."
    may_have_charged_usually = True


class PromptRejected(ProviderError):
    """The vendor's rules forbid the prompt; repeating it does not help."""

    status, code, title = 422, "prompt_rejected", "The model refuses this prompt"
    sentence = "The model refuses this prompt. Change it, or choose another model."
    permanent_usually = True
