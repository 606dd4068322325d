"""Answers with images: their bytes or addresses, what they are, and what the vendor counted."""

from __future__ import annotations

import base64
from typing import Final

from creditapp.api.v1.generations import charge_of, read_file
from creditapp.api.v1.image_schemas import ImagesAnswer, ImageUsage, TokenDetails, V1Image
from creditapp.config import Settings
from creditapp.generation import GenerationResult
from creditapp.generation.models import Asset, Generation
from creditapp.media import Link, Media
from creditapp.services import get

QUALITIES: Final = ("low", "medium", "high", "xhigh", "max")
"""The qualities that OpenAI's clients know by name."""


def images_answer(result: GenerationResult, response_format: str) -> ImagesAnswer:
    """Return a finished generation as OpenAI's clients read it."""
    generation = result.generation
    return ImagesAnswer(
        created=created_of(generation),
        data=[_image(asset, response_format) for asset in result.assets],
        output_format=output_format_of(result.assets[0].mime_type) if result.assets else None,
        quality=generation.quality if generation.quality in QUALITIES else None,
        size=generation.size,
        usage=usage_of(generation) if generation.provider_usage else None,
        credits=charge_of(generation),
    )


def base64_of(asset: Asset) -> str:
    """Return the bytes of a delivered file in base64."""
    return base64.b64encode(read_file(asset)).decode()


def created_of(generation: Generation) -> int:
    """Return when it was made, in seconds since 1970."""
    return int((generation.finished_at or generation.created_at).timestamp())


def output_format_of(mime_type: str) -> str:
    """Return the name of an image's type: ``png``, ``jpeg`` or ``webp``."""
    return mime_type.partition("/")[2]


def usage_of(generation: Generation) -> ImageUsage:
    """Return the tokens that the vendor counted; zeros where it counted none."""
    counted = generation.provider_usage or {}
    read, of_images = counted.get("input_tokens", 0), counted.get("input_image_tokens", 0)
    return ImageUsage(
        input_tokens=read,
        input_tokens_details=TokenDetails(
            text_tokens=max(0, read - of_images), image_tokens=of_images
        ),
        output_tokens=counted.get("output_tokens", 0),
        total_tokens=counted.get("total_tokens", 0),
    )


def _image(asset: Asset, response_format: str) -> V1Image:
    if response_format == "url":
        return V1Image(url=_address_of(asset))
    return V1Image(b64_json=base64_of(asset))


def _address_of(asset: Asset) -> str:
    """Return the signed link of a bucket, which is valid for an hour, or the address here."""
    place = get(Media).location(asset.media_key, "inline")
    if isinstance(place, Link):
        return place.url
    return f"{get(Settings).site_url.rstrip('/')}/media/{asset.id}"
