"""Text to image: one or more images of one model from a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, Field, StrictInt, field_validator
from sqlalchemy.orm import Session

from creditapp.catalog import TEXT_TO_IMAGE, Model, PriceRequest
from creditapp.generation.funding import Caller
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Operation
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX, Order, OrderValues, Prompt
from creditapp.generation.providers import ImageRequest, ProducedImage, Progress, Route, ShouldStop


class ImageOrder(Order):
    """An order of images. ``models`` is read and ignored: older clients send it.

    The catalog's model says how many images, which sizes and which qualities it takes.
    """

    operation: ClassVar[str] = TEXT_TO_IMAGE

    prompt: Prompt = Field(
        validation_alias=AliasChoices("prompt", "text"),
        description=f"What the image shows, in at most {PROMPT_CHARACTERS_MAX:,} characters. "
        "May be named text.",
    )
    n: Annotated[StrictInt, Field(ge=1)] = Field(
        default=1, description="How many images, at most the model's; each delivered is charged."
    )
    size: str = Field(
        default="1024x1024", max_length=16, description="As 1536x1024, or its shape as 3:2."
    )
    quality: str | None = Field(
        default=None,
        max_length=16,
        description="For models that are priced by quality: low, medium, high.",
    )
    models: Any = Field(default=None, exclude=True, description="Ignored.")
    images: Any = Field(
        default=None, exclude=True, description="Empty: images are made from text alone."
    )
    seconds: Any = Field(default=None, exclude=True, description="Ignored: an image has none.")
    voice: Any = Field(default=None, exclude=True, description="Ignored: an image has none.")

    @field_validator("images")
    @classmethod
    def _none(cls, images: object) -> None:
        if images:
            raise ValueError("Images are made from text alone here; leave images out.")

    def price_request(self) -> PriceRequest:
        """Return what the catalog needs to price this order."""
        return PriceRequest(self.operation, self.model, self.n, self.quality, self.size)

    def values(self, session: Session, by: Caller, model: Model | None) -> OrderValues:
        """Return the order's columns, with the size in pixels and the model's default quality."""
        shape = model.shape(self.size) if model else None
        if model is None or shape is None:
            raise LookupError("the catalog priced a model or a size that it does not have")
        # A model that is not priced by quality takes none, whatever the form sent along.
        quality = (self.quality or model.default_quality) if model.qualities else None
        return OrderValues(prompt=self.prompt, n=self.n, size=shape.size, quality=quality)


class TextToImage(Operation):
    """Images from a prompt, charged by the delivered image."""

    id = TEXT_TO_IMAGE
    order = ImageOrder

    def produce(
        self, generation: Generation, route: Route, *, progress: Progress, should_stop: ShouldStop
    ) -> Iterator[ProducedImage]:
        """Yield each image as the provider delivers it."""
        width, _, height = generation.size.partition("x")
        request = ImageRequest(
            prompt=generation.prompt,
            provider_model=route.model,
            n=generation.n,
            width=int(width),
            height=int(height),
            quality=generation.quality,
            seed=generation.seed,
        )
        return route.generate_images(request, progress=progress, should_stop=should_stop)
