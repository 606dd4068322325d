"""Video: some seconds of film from a text, or from an image and a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AliasChoices, Field, StrictInt, field_validator

from creditapp.catalog import Catalog, Model, PriceRequest, Quote, delivered_micro
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Delivered, Operation
from creditapp.generation.orders import (
    PROMPT_CHARACTERS_MAX,
    Order,
    OrderValues,
    SourceId,
    readable,
    source_of,
)
from creditapp.generation.providers import SourceFile, VideoRequest
from creditapp.generation.sources import Sources, stored
from creditapp.units import divide_up


def _description(text: str) -> str:
    return readable(text, noun="description", missing="Describe what happens in the video.")


class VideoOrder(Order):
    """An order of one video."""

    operation: ClassVar[str] = "video"

    prompt: Annotated[str, AfterValidator(_description)] = Field(
        validation_alias=AliasChoices("prompt", "text"),
        description=f"What happens, in at most {PROMPT_CHARACTERS_MAX:,} characters.",
    )
    seconds: StrictInt = Field(default=5, description="Its length in whole seconds.")
    size: str | None = Field(
        default=None, max_length=16, description="As 1280x720, or its shape as 16:9."
    )
    images: Annotated[list[SourceId], Field(max_length=1)] = Field(
        default=[], description="The first frame, if there is one: an upload or a delivered image."
    )
    n: StrictInt = Field(default=1, description="One at a time.")

    @field_validator("images", mode="before")
    @classmethod
    def _at_most_one(cls, images: object) -> object:
        if isinstance(images, list) and len(images) > 1:
            raise ValueError("A video starts from one image.")
        return images or []

    def source_ids(self) -> tuple[str, ...]:
        """Return the first frame, if there is one."""
        return tuple(self.images)

    def prompt_text(self) -> str:
        """Return the prompt."""
        return self.prompt

    def price_request(self, sources: Sources) -> PriceRequest:
        """Return what the catalog needs to price this order."""
        return PriceRequest(self.operation, self.model, self.n, seconds=self.seconds)

    def values(self, priced: Model | PricedOperation, sources: Sources) -> OrderValues:
        """Return the order's columns, with the size in pixels."""
        if not isinstance(priced, PricedOperation):
            raise TypeError("video has a price of its own")
        shapes = [
            shape
            for shape in priced.shapes
            if not self.size or self.size in (shape.aspect, shape.size)
        ]
        if not shapes:
            choices = ", ".join(f"{shape.aspect} ({shape.size})" for shape in priced.shapes)
            raise ValidationFailed.of("size", f"Video is made in these sizes: {choices}.")
        for image in self.images:
            source_of(sources, image, "images", "image")
        return OrderValues(
            prompt=self.prompt,
            size=shapes[0].size,
            parameters={"seconds": self.seconds, "images": self.images, "sources": stored(sources)},
        )


class Video(Operation):
    """A video, priced by its length."""

    id = "video"
    order = VideoOrder
    unit = "videos"

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> VideoRequest:
        """Return the request of the video."""
        width, _, height = generation.size.partition("x")
        images = generation.parameters["images"]
        return VideoRequest(
            prompt=generation.prompt,
            seconds=generation.parameters["seconds"],
            width=int(width),
            height=int(height),
            image=files[images[0]] if images else None,
            seed=generation.seed,
        )

    def charge_micro(self, catalog: Catalog, quote: Quote, files: Sequence[Delivered]) -> int:
        """Return the price of the length that came, never above the quote."""
        return delivered_micro(catalog, quote, seconds=seconds_of(files))


def seconds_of(files: Sequence[Delivered]) -> int | None:
    """Return the length of the delivered files in started seconds; None if one is unknown."""
    total = 0
    for file in files:
        if file.milliseconds is None:
            return None
        total += file.milliseconds
    return divide_up(total, 1000)
