"""Upscale: a larger version of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, StrictInt, model_validator

from creditapp.catalog import Model, PriceRequest
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Operation
from creditapp.generation.orders import Order, OrderValues, SourceId, one_image, source_of
from creditapp.generation.providers import SourceFile, UpscaleRequest
from creditapp.generation.providers.images import PIXELS_MAX, SIDE_MAX
from creditapp.generation.sources import Sources, stored


class UpscaleOrder(Order):
    """An order of one larger image."""

    operation: ClassVar[str] = "upscale"

    image: SourceId = Field(
        description="The image: the id of an upload or of a delivered image. May be the only one "
        "of images."
    )
    n: StrictInt = Field(default=1, description="One at a time.")

    @model_validator(mode="before")
    @classmethod
    def _only_image(cls, body: Any) -> Any:
        return one_image(body, "Upscaling")

    def source_ids(self) -> tuple[str, ...]:
        """Return the image."""
        return (self.image,)

    def price_request(self, sources: Sources) -> PriceRequest:
        """Return what the catalog needs to price this order."""
        return PriceRequest(self.operation, self.model, self.n)

    def values(self, priced: Model | PricedOperation, sources: Sources) -> OrderValues:
        """Return the order's columns, with the size of the result."""
        if not isinstance(priced, PricedOperation):
            raise TypeError("upscaling has a price of its own")
        image = source_of(sources, self.image, "image", "image")
        width, height = (image.width or 0) * priced.factor, (image.height or 0) * priced.factor
        if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
            raise ValidationFailed.of(
                "image",
                f"This image is {image.width} x {image.height} already; {priced.factor} times "
                "larger is more than can be made.",
            )
        parameters = {"image": self.image, "sources": stored(sources)}
        return OrderValues(size=f"{width}x{height}", parameters=parameters)


class Upscale(Operation):
    """A larger image, at one price."""

    id = "upscale"
    order = UpscaleOrder

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> UpscaleRequest:
        """Return the request of the larger image."""
        width, _, height = generation.size.partition("x")
        image = files[generation.parameters["image"]]
        return UpscaleRequest(
            image=image, width=int(width), height=int(height), seed=generation.seed
        )
