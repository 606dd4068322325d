"""Models and operations of a catalog, with their prices."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from creditapp.catalog.fields import Computed, Credits, Id, KeyInvalid, Many, Name, Seconds, Table
from creditapp.catalog.served import Served
from creditapp.catalog.shapes import Shape, Shapes
from creditapp.catalog.token_prices import DatedTokenPrices

TEXT_TO_IMAGE: Final = "text-to-image"
IMAGE_TO_IMAGE: Final = "image-to-image"
ImageOperation = Literal["text-to-image", "image-to-image"]
IMAGE_OPERATIONS: Final[tuple[ImageOperation, ...]] = get_args(ImageOperation)
"""Priced by their model, for each image."""

MEDIA_OPERATIONS: Final = ("upscale", "video", "audio", "lipsync")
"""Priced by the operation: for each result, or by its length in seconds."""

TokenOperation = Literal["chat", "agent", "summarize", "embeddings"]
TOKEN_OPERATIONS: Final[tuple[TokenOperation, ...]] = get_args(TokenOperation)
"""Priced by their model's tokens."""

OPERATIONS: Final[tuple[str, ...]] = (*IMAGE_OPERATIONS, *MEDIA_OPERATIONS, *TOKEN_OPERATIONS)
"""Every operation, in the order of the pages; also the scopes of a grant."""

Tier = Literal["budget", "standard", "premium"]
TIERS: Final[tuple[Tier, ...]] = get_args(Tier)
"""From plain to best: a recommendation takes the best tier that the balance affords."""


class ServedModel(Served):
    """A model that people choose by its name."""

    provider_model: Name
    id: Id
    name: Name
    best_for: Name
    operations: tuple[str, ...]

    def can(self, operation: str) -> bool:
        """Whether the model does ``operation``."""
        return operation in self.operations


class Model(ServedModel):
    """``[[models]]``: an image model.

    ``price_micro`` is the price of one image. Where ``prices_micro`` has a price for each quality,
    ``price_micro`` is the default quality's.
    """

    tier: Tier
    operations: Annotated[Many[ImageOperation], Field(min_length=1)] = IMAGE_OPERATIONS
    shapes: Shapes = ()
    """The catalog's shapes unless it has its own."""
    max_images: Annotated[int, Field(ge=1, le=10)] = 4
    prices_micro: Annotated[dict[Id, Credits], Field(min_length=1)] = Field({}, alias="prices")
    default_quality: Id | None = None
    provider_qualities: dict[Id, Name] = Field(default_factory=dict, alias="qualities")
    """The provider's names of the qualities, where they differ from those in ``prices``."""
    price_micro: Credits = Field(
        default_factory=lambda data: data["prices_micro"].get(data["default_quality"], 0),
        alias="price",
    )
    guests: bool = False
    typical_seconds: Seconds = 10
    native_n: bool = False
    """Whether one call may ask the provider for several images."""
    sources_max: Annotated[int, Field(ge=1, le=16)] = 1
    """How many images an edit may start from."""
    takes_mask: bool = False
    takes_negative_prompt: bool = False
    sends_partial_images: bool = False
    """Whether the provider streams unfinished states of an image where they are asked for."""
    styles: Many[Id] = ()
    writes_text: bool = False
    """Whether a text in its images can be read, as pages say it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if ("price_micro" in self.model_fields_set) == ("prices_micro" in self.model_fields_set):
            raise KeyInvalid("price", "give either price, or prices by quality")
        if not self.prices_micro and self.default_quality is not None:
            raise KeyInvalid("default_quality", "needs prices by quality")
        if self.prices_micro and self.default_quality not in self.prices_micro:
            raise KeyInvalid("default_quality", "must be one of the qualities in prices")
        for quality in self.provider_qualities.keys() - self.prices_micro.keys():
            raise KeyInvalid(f"qualities.{quality}", "has no price of its own in prices")
        costs = self.provider_cost.amounts if self.provider_cost else {}
        if costs and costs.keys() != self.prices_micro.keys():
            raise KeyInvalid("provider_cost.amounts", "must have the qualities of prices")
        if self.guests and not self.can(TEXT_TO_IMAGE):
            raise KeyInvalid("guests", "guests make images from text; this model does not")
        return self

    @property
    def qualities(self) -> tuple[str, ...]:
        """The qualities with a price of their own, in the catalog's order."""
        return tuple(self.prices_micro)

    def provider_quality(self, quality: str | None) -> str | None:
        """Return the provider's name of a quality; None where the price does not depend on it.

        A quality that is priced is always sent: without it the dear and the cheap image would be
        the same.
        """
        if not self.prices_micro:
            return None
        chosen = quality or self.default_quality
        return self.provider_qualities.get(chosen or "", chosen)

    @property
    def lowest_micro(self) -> int:
        """The price of its cheapest image."""
        return min(self.prices_micro.values(), default=self.price_micro)

    @property
    def highest_micro(self) -> int:
        """The price of its dearest image."""
        return max(self.prices_micro.values(), default=self.price_micro)

    def price_at(self, quality: str | None) -> int:
        """Return the price of one image; a quality without a price of its own changes nothing."""
        return self.prices_micro.get(quality or "", self.price_micro)

    def shape(self, size: str | None) -> Shape | None:
        """Return the shape ``3:2`` or ``1536x1024``; the first shape for ``None``."""
        if not size:
            return self.shapes[0]
        return next((shape for shape in self.shapes if size in (shape.aspect, shape.size)), None)


class LanguageModel(ServedModel, DatedTokenPrices):
    """``[[language_models]]``: priced by the token, in US dollars for a million tokens."""

    operations: Annotated[Many[TokenOperation], Field(min_length=1)] = (
        "chat",
        "agent",
        "summarize",
    )
    max_output_tokens: Annotated[int, Field(ge=0, le=1_000_000)]
    """The longest answer, reasoning included."""
    context_tokens: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """The most tokens of a prompt and its answer together; None where nothing is known."""
    image_tokens: Annotated[int, Field(ge=0, le=100_000)] = 0
    """The most tokens that an image of a message counts; none where the model takes no images."""

    @property
    def takes_images(self) -> bool:
        """Whether a message may have images."""
        return self.image_tokens > 0

    @property
    def prompt_tokens(self) -> int | None:
        """The most tokens of a prompt, with room for the longest answer; None is not known."""
        return None if self.context_tokens is None else self.context_tokens - self.max_output_tokens

    @model_validator(mode="after")
    def _check_context(self) -> Self:
        if self.prompt_tokens is not None and self.prompt_tokens <= 0:
            raise KeyInvalid("context_tokens", "must be more than max_output_tokens")
        return self


class Step(Table):
    """The price of a result of at most ``up_to_seconds``."""

    up_to_seconds: Seconds
    price_micro: Credits = Field(alias="price")


class Operation(Served):
    """One operation, with its price unless the model sets it.

    Exactly one of these holds: ``steps`` (video), ``block_seconds`` with ``price_micro`` (audio,
    lipsync), ``price_micro`` alone (upscale), or nothing (images and tokens: by model).
    """

    id: Computed[str] = ""
    name: Name
    price_micro: Credits | None = Field(None, alias="price")
    block_seconds: Seconds | None = Field(None, alias="per_seconds")
    steps: Annotated[Many[Step], Field(min_length=1)] = ()
    max_seconds: Seconds | None = Field(
        default_factory=lambda data: data["steps"][-1].up_to_seconds if data["steps"] else None
    )
    characters_per_second: Annotated[int, Field(ge=1, le=100)] | None = None
    """The speed of speech, to estimate a length before the audio exists."""
    typical_seconds: Seconds = 30
    voices: Many[Id] = ()
    formats: Many[Id] = ()
    """The kinds of files that speech may come in, the default first."""
    shapes: Shapes = ()
    """The shapes of a video, the default first."""
    provider_seconds: Many[Seconds] = ()
    """The lengths that the provider makes, rising; the next one up is asked for."""
    factor: Annotated[int, Field(ge=2, le=8)] = 2
    """How many times larger an upscaled image's sides are."""
    native_n: ClassVar[bool] = False

    def provider_quality(self, quality: str | None) -> str | None:
        """Return the quality as it is: its price depends on the length alone."""
        return quality

    @property
    def spans(self) -> tuple[str, ...]:
        """The lengths of each step: ``up to 5 s``, ``6-10 s``."""
        ends = [step.up_to_seconds for step in self.steps]
        later = (f"{end + 1}-{following} s" for end, following in pairwise(ends))
        return (f"up to {ends[0]} s", *later) if ends else ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.price_micro is None) == (not self.steps):
            raise KeyInvalid("price", "give either price, or steps by length")
        if self.block_seconds is not None and self.steps:
            raise KeyInvalid("per_seconds", "needs price, and no steps")
        if self.block_seconds is not None and self.max_seconds is None:
            raise KeyInvalid("max_seconds", "is missing: say how long a piece may be")
        for step, following in pairwise(self.steps):
            longer = following.up_to_seconds > step.up_to_seconds
            if not longer or following.price_micro < step.price_micro:
                raise KeyInvalid("steps", "must rise: each longer and not cheaper")
        return self


class MediaOperations(Table):
    """``[operations]``: those with a price of their own; what is left out is not offered."""

    upscale: Operation | None = None
    video: Operation | None = None
    audio: Operation | None = None
    lipsync: Operation | None = None

    @model_validator(mode="after")
    def _check_audio(self) -> Self:
        audio = self.audio
        if audio and audio.block_seconds and audio.characters_per_second is None:
            raise KeyInvalid(
                "audio.characters_per_second", "is missing: a text's length is estimated with it"
            )
        return self
