"""Lipsync: a face whose mouth follows a voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, StrictInt, model_validator

from creditapp.catalog import Catalog, Model, PriceRequest, Quote, delivered_micro
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Delivered, Operation
from creditapp.generation.operations.video import seconds_of
from creditapp.generation.orders import Order, OrderValues, SourceId, one_image, source_of
from creditapp.generation.providers import LipsyncRequest, SourceFile
from creditapp.generation.sources import Source, Sources, stored
from creditapp.units import divide_up


class LipsyncOrder(Order):
    """An order of one talking face. It is as long as the voice."""

    operation: ClassVar[str] = "lipsync"

    image: SourceId = Field(
        validation_alias=AliasChoices("image", "video", "face"),
        description="The face: an image or a video, uploaded or delivered. May be named video, or "
        "be the only one of images.",
    )
    audio: SourceId = Field(
        validation_alias=AliasChoices("audio", "voice"),
        description="The voice: an upload or delivered audio. May be named voice.",
    )
    n: StrictInt = Field(default=1, description="One at a time.")

    @model_validator(mode="before")
    @classmethod
    def _only_image(cls, body: Any) -> Any:
        return one_image(body, "Lipsync")

    def source_ids(self) -> tuple[str, ...]:
        """Return the face and the voice."""
        return (self.image, self.audio)

    def price_request(self, sources: Sources) -> PriceRequest:
        """Return what the catalog needs; before there is a voice, the price of its first block."""
        seconds = seconds_of_voice(sources[self.audio]) if self.audio in sources else 1
        return PriceRequest(
            self.operation, self.model, self.n, seconds=seconds, length_field="audio"
        )

    def values(self, priced: Model | PricedOperation, sources: Sources) -> OrderValues:
        """Return the order's columns, with the size of the face."""
        face = source_of(sources, self.image, "image", "image", "video")
        return OrderValues(
            size=f"{face.width or 0}x{face.height or 0}",
            parameters={
                "image": self.image,
                "audio": self.audio,
                "seconds": seconds_of_voice(sources[self.audio]),
                "sources": stored(sources),
            },
        )


def seconds_of_voice(voice: Source) -> int:
    """Return the length of a voice in started seconds, which sets the price.

    Raises ``ValidationFailed`` for what is no voice, or one whose length is unknown.
    """
    if voice.kind != "audio":
        raise ValidationFailed.of("audio", "Choose a voice.")
    if not voice.milliseconds:
        raise ValidationFailed.of("audio", "The length of this voice is unknown; choose another.")
    return divide_up(voice.milliseconds, 1000)


class Lipsync(Operation):
    """A talking face, charged for each started block of its length."""

    id = "lipsync"
    order = LipsyncOrder
    unit = "videos"

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> LipsyncRequest:
        """Return the request of the talking face."""
        return LipsyncRequest(
            face=files[generation.parameters["image"]],
            voice=files[generation.parameters["audio"]],
            seconds=generation.parameters["seconds"],
            seed=generation.seed,
        )

    def charge_micro(self, catalog: Catalog, quote: Quote, files: Sequence[Delivered]) -> int:
        """Return the price of the length that came, never above the quote."""
        return delivered_micro(catalog, quote, seconds=seconds_of(files))
