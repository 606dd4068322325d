"""Image to image: images that start from other images, with a mask where only a part may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from creditapp.catalog import IMAGE_TO_IMAGE, Model
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Operation
from creditapp.generation.operations.text_to_image import ImageFields, image_request
from creditapp.generation.orders import OrderValues, SourceId, source_of
from creditapp.generation.providers import ImageRequest, SourceFile
from creditapp.generation.sources import Source, Sources, stored


class EditOrder(ImageFields):
    """An order of images from ``images``, as many as the model takes."""

    operation: ClassVar[str] = IMAGE_TO_IMAGE

    images: Annotated[list[SourceId], Field(min_length=1, max_length=16)] = Field(
        description="The files to start from: ids of uploads or of delivered images."
    )
    mask: SourceId | None = Field(
        default=None,
        description="A PNG of the first image's size, transparent where it may change.",
    )

    @field_validator("images")
    @classmethod
    def _once(cls, images: list[str]) -> list[str]:
        return list(dict.fromkeys(images))

    def source_ids(self) -> tuple[str, ...]:
        """Return the images, and the mask if there is one."""
        return (*self.images, self.mask) if self.mask else tuple(self.images)

    def values(self, priced: Model | PricedOperation, sources: Sources) -> OrderValues:
        """Return the order's columns; without a size, the shape that is nearest to the source's."""
        if not isinstance(priced, Model):
            raise TypeError("images are priced by a model")
        if len(self.images) > priced.sources_max:
            most = priced.sources_max
            allowed = "one image" if most == 1 else f"at most {most} images"
            raise ValidationFailed.of("images", f"{priced.name} starts from {allowed}.")
        images = [source_of(sources, each, "images", "image") for each in self.images]
        if self.mask:
            self._check_mask(priced, images[0], source_of(sources, self.mask, "mask", "image"))
        values = super().values(priced, sources)
        if self.size is None:
            values = replace(values, size=_nearest_size(priced, images[0]))
        parameters = {"images": self.images, "sources": stored(sources)}
        return replace(values, parameters=parameters | ({"mask": self.mask} if self.mask else {}))

    def _check_mask(self, model: Model, image: Source, mask: Source) -> None:
        if not model.takes_mask:
            raise ValidationFailed.of("mask", f"{model.name} takes no mask.")
        if mask.mime_type != "image/png":
            raise ValidationFailed.of("mask", "The mask must be a PNG with transparent parts.")
        if (mask.width, mask.height) != (image.width, image.height):
            raise ValidationFailed.of(
                "mask",
                f"The mask has {mask.width} x {mask.height} pixels, "
                f"the first image {image.width} x {image.height}; they must be equal.",
            )


def _nearest_size(model: Model, image: Source) -> str:
    ratio = (image.width or 1) / (image.height or 1)

    def distance(width: int, height: int) -> float:
        ours = width / height
        return max(ours / ratio, ratio / ours)

    return min(model.shapes, key=lambda shape: distance(shape.width, shape.height)).size


class ImageToImage(Operation):
    """Images from images, charged by the delivered image."""

    id = IMAGE_TO_IMAGE
    order = EditOrder

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> ImageRequest:
        """Return the request of images from images."""
        mask = generation.parameters.get("mask")
        return replace(
            image_request(generation),
            images=tuple(files[each] for each in generation.parameters["images"]),
            mask=files[mask] if mask else None,
        )
