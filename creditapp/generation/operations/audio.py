"""Audio: a text that is spoken; its length is estimated before and charged as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AliasChoices, Field, StrictInt

from creditapp.catalog import Catalog, Model, PriceRequest, Quote, delivered_micro
from creditapp.catalog import Operation as PricedOperation
from creditapp.errors import ValidationFailed
from creditapp.generation.models import Generation
from creditapp.generation.operations.operation import Delivered, Operation
from creditapp.generation.operations.video import seconds_of
from creditapp.generation.orders import PROMPT_CHARACTERS_MAX, Order, OrderValues, readable
from creditapp.generation.providers import SourceFile, SpeechRequest
from creditapp.generation.sources import Sources


def _spoken(text: str) -> str:
    return readable(text, noun="text", missing="Write the text to speak.")


class AudioOrder(Order):
    """An order of one piece of speech."""

    operation: ClassVar[str] = "audio"

    prompt: Annotated[str, AfterValidator(_spoken)] = Field(
        validation_alias=AliasChoices("prompt", "text"),
        description=f"The text to speak, in at most {PROMPT_CHARACTERS_MAX:,} characters.",
    )
    voice: str | None = Field(
        default=None, max_length=40, description="One of the voices; without it the first."
    )
    format: str | None = Field(
        default=None, max_length=16, description="mp3, wav or ogg; without it the first."
    )
    n: StrictInt = Field(default=1, description="One at a time.")

    def prompt_text(self) -> str:
        """Return the prompt."""
        return self.prompt

    def price_request(self, sources: Sources) -> PriceRequest:
        """Return what the catalog needs to price this order."""
        return PriceRequest(self.operation, self.model, self.n, text_length=len(self.prompt))

    def values(self, priced: Model | PricedOperation, sources: Sources) -> OrderValues:
        """Return the order's columns, with the default voice and format."""
        if not isinstance(priced, PricedOperation):
            raise TypeError("audio has a price of its own")
        voice = _one_of(priced.voices, self.voice, "voice", "There is no such voice; choose")
        format_ = _one_of(priced.formats, self.format, "format", "Choose one of these formats:")
        return OrderValues(prompt=self.prompt, parameters={"voice": voice, "format": format_})


def _one_of(choices: Sequence[str], chosen: str | None, field: str, refusal: str) -> str:
    if chosen is None:
        return choices[0]
    if chosen not in choices:
        raise ValidationFailed.of(field, f"{refusal} {', '.join(choices)}.")
    return chosen


class Audio(Operation):
    """Speech, charged for each started block of its real length."""

    id = "audio"
    order = AudioOrder
    unit = "pieces"

    def request(self, generation: Generation, files: Mapping[str, SourceFile]) -> SpeechRequest:
        """Return the request of the speech."""
        return SpeechRequest(
            text=generation.prompt,
            voice=generation.parameters["voice"],
            format=generation.parameters["format"],
            seed=generation.seed,
        )

    def charge_micro(self, catalog: Catalog, quote: Quote, files: Sequence[Delivered]) -> int:
        """Return the price of the real length, never above the quote."""
        return delivered_micro(catalog, quote, seconds=seconds_of(files))
