"""Text to image: one or more images of one model from a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AliasChoices, Field, StrictInt, field_validator

from creditapp.catalog import TEXT_TO_IMAGE, Model, PriceRequest
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation import partial_images
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Operation
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX, Order, OrderValues, Prompt, SourceId
from creditapp.generation.providers import ImageRequest, SourceFile
from creditapp.generation.sources import Sources

SEED_MAX = 2**31 - 1


class ImageFields(Order):
    """The fields of every order of images.

    The catalog's model says how many images, which sizes and which qualities it takes.
    """

    prompt: Prompt = Field(
        validation_alias=AliasChoices("prompt", "text"),
        description=f"What the image shows, in at most {PROMPT_CHARACTERS_MAX:,} characters. "
        "May be named text.",
    )
    n: Annotated[StrictInt, Field(ge=1)] = Field(
        default=1, description="How many images, at most the model's; each delivered is charged."
    )
    size: str | None = Field(
        default=None,
        max_length=16,
        description="As 1536x1024, or its shape as 3:2; without it the model's first.",
    )
    quality: str | None = Field(
        default=None,
        max_length=16,
        description="For models that are priced by quality: low, medium, high.",
    )
    negative_prompt: Prompt | None = Field(
        default=None,
        validation_alias=AliasChoices("negativePrompt", "negative_prompt"),
        description="What the image must not show, for models that take it.",
    )
    style: str | None = Field(
        default=None, max_length=32, description="One of the model's styles, if it has some."
    )
    seed: Annotated[StrictInt, Field(ge=0, le=SEED_MAX)] | None = Field(
        default=None, description="The same seed gives a like image, for models that take one."
    )

    @field_validator("negative_prompt", "style", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return value if not isinstance(value, str) or value.strip() else None

    def prompt_text(self) -> str:
        """Return the prompt."""
        return self.prompt

    def price_request(self, sources: Sources) -> PriceRequest:
        """Return what the catalog needs to price this order."""
        return PriceRequest(self.operation, self.model, self.n, self.quality, self.size)

    def values(self, priced: Model | PricedOperation, sources: Sources) -> OrderValues:
        """Return the order's columns, with the size in pixels and the model's default quality."""
        if not isinstance(priced, Model):
            raise TypeError("images are priced by a model")
        shape = priced.shape(self.size)
        if shape is None:
            raise LookupError("the catalog priced a size that the model does not have")
        self._check_abilities(priced)
        # A model that is not priced by quality takes none, whatever the form sent along.
        quality = (self.quality or priced.default_quality) if priced.qualities else None
        return OrderValues(
            prompt=self.prompt,
            n=self.n,
            size=shape.size,
            quality=quality,
            negative_prompt=self.negative_prompt,
            style=self.style,
            seed=self.seed,
        )

    def _check_abilities(self, model: Model) -> None:
        refusals = {}
        if self.negative_prompt and not model.takes_negative_prompt:
            refusals["negativePrompt"] = f"{model.name} takes no negative prompt."
        if self.style and self.style not in model.styles:
            styles = f"these styles: {', '.join(model.styles)}" if model.styles else "no styles"
            refusals["style"] = f"{model.name} has {styles}."
        if self.seed is not None and not model.takes_seed:
            refusals["seed"] = f"{model.name} takes no seed."
        if refusals:
            raise ValidationFailed.of_fields(refusals)


class ImageOrder(ImageFields):
    """An order of images from a text."""

    operation: ClassVar[str] = TEXT_TO_IMAGE

    images: Annotated[list[SourceId], Field(max_length=0)] = Field(
        default=[],
        exclude=True,
        description="With images, or with a mask, the order is one of images from images: see "
        "EditOrder.",
    )

    @field_validator("images", mode="before")
    @classmethod
    def _none(cls, images: object) -> list[str]:
        if images:
            raise ValueError("Text to image starts from no image: leave images out.")
        return []


def image_request(generation: Generation) -> ImageRequest:
    """Return what a generation of images asks of a provider."""
    width, _, height = generation.size.partition("x")
    return ImageRequest(
        prompt=generation.prompt,
        n=generation.n,
        width=int(width),
        height=int(height),
        quality=generation.quality,
        negative_prompt=generation.negative_prompt,
        style=generation.style,
        seed=generation.seed,
        partial_images=partial_images.ordered(generation),
    )


class TextToImage(Operation):
    """Images from a prompt, charged by the delivered image."""

    id = TEXT_TO_IMAGE
    order = ImageOrder

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> ImageRequest:
        """Return the request of images from a text."""
        return image_request(generation)
