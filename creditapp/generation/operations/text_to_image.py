"""Text to image: one or more images of one model from a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, Field, StrictInt, field_validator

from creditapp.catalog import TEXT_TO_IMAGE, Model, PriceRequest
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Operation
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX, Order, OrderValues, Prompt
from creditapp.generation.providers import ImageRequest, SourceFile
from creditapp.generation.sources import Sources

SEED_MAX = 2**31 - 1


class ImageFields(Order):
    """The fields of every order of images. ``models`` is ignored: older clients send it.

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
        validation_alias=AliasChoices("negative_prompt", "negativePrompt"),
        description="What the image must not show, for models that take it.",
    )
    style: str | None = Field(
        default=None, max_length=32, description="One of the model's styles, if it has some."
    )
    seed: Annotated[StrictInt, Field(ge=0, le=SEED_MAX)] | None = Field(
        default=None, description="The same seed gives a like image, for models that take one."
    )
    models: Any = Field(default=None, exclude=True, description="Ignored.")
    seconds: Any = Field(default=None, exclude=True, description="Ignored: an image has none.")
    voice: Any = Field(default=None, exclude=True, description="Ignored: an image has none.")

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
        refusals = {
            "negativePrompt": bool(self.negative_prompt) and not model.takes_negative_prompt,
            "style": bool(self.style) and self.style not in model.styles,
            "seed": self.seed is not None and not model.takes_seed,
        }
        what = {
            "negativePrompt": f"{model.name} takes no negative prompt.",
            "style": f"{model.name} has these styles: {', '.join(model.styles) or 'none'}.",
            "seed": f"{model.name} takes no seed.",
        }
        errors = [
            {"field": field, "message": what[field]} for field, bad in refusals.items() if bad
        ]
        if errors:
            raise ValidationFailed(errors)


class ImageOrder(ImageFields):
    """An order of images from a text."""

    operation: ClassVar[str] = TEXT_TO_IMAGE

    images: Any = Field(
        default=None, exclude=True, description="Empty: images are made from text alone."
    )

    @field_validator("images")
    @classmethod
    def _none(cls, images: object) -> None:
        if images:
            raise ValueError("Images are made from text alone here; leave images out.")


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
    )


class TextToImage(Operation):
    """Images from a prompt, charged by the delivered image."""

    id = TEXT_TO_IMAGE
    order = ImageOrder

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> ImageRequest:
        """Return the request of images from a text."""
        return image_request(generation)
