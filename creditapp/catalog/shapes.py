"""Shapes: the aspect ratios of images and videos, each with its size in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Annotated

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter

from creditapp.catalog.fields import Aspect, KeyInvalid, Size


@dataclass(frozen=True, slots=True)
class Shape:
    """An image's aspect ratio, and the size in pixels to ask a provider for."""

    aspect: str
    width: int
    height: int

    @property
    def size(self) -> str:
        """The size as the API has it: ``1536x1024``."""
        return f"{self.width}x{self.height}"


_SHAPES: TypeAdapter[dict[str, str]] = TypeAdapter(
    Annotated[dict[Aspect, Size], Field(min_length=1)], config=ConfigDict(strict=True)
)


def _shapes(value: object) -> tuple[Shape, ...]:
    """Return the shapes of a table such as ``"3:2" = "1536x1024"``."""
    shapes = []
    for aspect, size in _SHAPES.validate_python(value).items():
        width, height = (int(side) for side in size.split("x"))
        across, down = (int(side) for side in aspect.split(":"))
        # Vendors round sides to steps of 16, so 16:9 need not be exact.
        if gcd(across, down) != 1 or abs(width * down - height * across) > 32 * (across + down):
            raise KeyInvalid(aspect, f"{size} does not have this shape")
        shapes.append(Shape(aspect, width, height))
    return tuple(shapes)


Shapes = Annotated[tuple[Shape, ...], PlainValidator(_shapes)]
