"""Bodies and answers of ``/v1/images``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictInt, WithJsonSchema, model_validator

from creditapp.api.generations import ChargeAnswer
from creditapp.api.v1.requests import Only, V1Body
from creditapp.errors import UnsupportedParameter

PARTIAL_IMAGES_MAX = 3
Upload = Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})]


class ImageParameters(V1Body):
    """Parameters of both routes of images.

    ``style``, ``seed`` and ``negativePrompt`` are the model's own, where it has them.
    """

    prompt: str
    model: str | None = None
    n: StrictInt = 1
    size: Annotated[str, Field(max_length=16)] = "auto"
    quality: Annotated[str, Field(max_length=16)] = "auto"
    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: Annotated[str, Field(max_length=8)] | None = None
    output_compression: Annotated[Any, Only(100)] = 100
    background: Annotated[Any, Only("auto")] = "auto"
    moderation: Annotated[Any, Only("auto")] = "auto"
    style: str | None = None
    seed: StrictInt | None = None
    negative_prompt: str | None = Field(None, alias="negativePrompt")
    stream: bool = False
    partial_images: Annotated[StrictInt, Field(ge=0, le=PARTIAL_IMAGES_MAX)] = 0

    @model_validator(mode="after")
    def _check_stream(self) -> ImageParameters:
        if self.partial_images and not self.stream:
            raise UnsupportedParameter("partial_images", "partial_images needs stream: true.")
        if self.stream and self.response_format == "url":
            raise UnsupportedParameter("response_format", "A stream sends b64_json alone.")
        return self

    def order(self) -> dict[str, Any]:
        """Return the body of the order; what is left to the model is left out."""
        values = {
            "prompt": self.prompt,
            "n": self.n,
            "size": None if self.size == "auto" else self.size,
            "quality": None if self.quality == "auto" else self.quality,
            "style": self.style,
            "seed": self.seed,
            "negativePrompt": self.negative_prompt,
        }
        return {name: value for name, value in values.items() if value is not None}


class V1ImageBody(ImageParameters):
    """An order of images from a text."""


class V1EditBody(ImageParameters):
    """An order of images from images, as a multipart form with parts ``image`` or ``image[]``."""

    image: Annotated[list[Upload], Field(min_length=1, max_length=16)]
    mask: Upload | None = None


class TokenDetails(BaseModel):
    """Tokens of text, and of images."""

    text_tokens: int = 0
    image_tokens: int = 0


class ImageUsage(BaseModel):
    """The tokens that the vendor counted; zeros where it counts none."""

    input_tokens: int = 0
    input_tokens_details: TokenDetails = TokenDetails()
    output_tokens: int = 0
    total_tokens: int = 0


class V1Image(BaseModel):
    """One image: its bytes in base64, or its address, which takes the same key."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: None = None


class ImagesAnswer(BaseModel):
    """Delivered images as OpenAI's clients read them; ``credits`` is ours."""

    created: int
    data: list[V1Image]
    background: None = None
    output_format: str | None
    quality: str | None
    size: str
    usage: ImageUsage | None
    credits: ChargeAnswer
