"""The pictures in an endpoint's answer; what is not one does not count as delivered."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from creditapp.generation.providers import images as providers_images
from creditapp.generation.providers.protocol import NO_USAGE, ImageRequest, ProducedImage

if TYPE_CHECKING:
    from creditapp.generation.providers.openai import TokenPrices

ANSWER_BYTES_MAX = 192 * 1024 * 1024
"""The longest answer that is read: ten large pictures in base64."""

_log = logging.getLogger(__name__)


def read(
    answer: object, count: int, request: ImageRequest, prices: TokenPrices | None
) -> tuple[list[ProducedImage], int | None]:
    """Return the usable pictures of ``answer``, at most ``count``, and what the call cost us.

    The cost, in millionths of a dollar, is ``None`` when prices or usage are unknown. It is split
    over the pictures so that the parts add up to the whole.
    """
    body: Mapping[str, object] = answer if isinstance(answer, dict) else {}
    usage = body.get("usage")
    cost = _cost(usage, prices)
    items = body.get("data")
    # A vendor that sends more than was asked for does not get more paid by the person.
    found = [_picture(item) for item in (items if isinstance(items, list) else [])[:count]]
    usable = [each for each in found if each is not None]
    images = []
    for index, (data, picture) in enumerate(usable):
        if picture.mime_type == "image/png":
            data = providers_images.with_png_text(
                data, {"Prompt": request.prompt, "Model": request.provider_model}
            )
        images.append(
            ProducedImage(
                data,
                picture.mime_type,
                picture.width,
                picture.height,
                provider_cost_micros_usd=_part(cost, index, len(usable)),
                usage=_counts(usage) if index == 0 else NO_USAGE,
            )
        )
    return images, cost


def _picture(item: object) -> tuple[bytes, providers_images.Picture] | None:
    try:
        data = _bytes_of(item)
        return data, providers_images.inspect(data)
    except providers_images.NotAPicture as error:
        _log.warning("provider sent something that is no picture: %s", error.reason)
        return None


def _bytes_of(item: object) -> bytes:
    if not isinstance(item, dict):
        raise providers_images.NotAPicture("no_object")
    text, url = item.get("b64_json"), item.get("url")
    if not text and isinstance(url, str):
        # An address is never fetched: it could lead into the operator's own network.
        if not url.startswith("data:image/"):
            raise providers_images.NotAPicture("address_instead_of_bytes")
        text = url
    if not isinstance(text, str) or not text:
        raise providers_images.NotAPicture("no_bytes")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) > providers_images.BYTES_MAX * 4 // 3 + 4:
        raise providers_images.NotAPicture("too_many_bytes")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise providers_images.NotAPicture("bad_base64") from error


def _cost(usage: object, prices: TokenPrices | None) -> int | None:
    if prices is None or not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details")
    image_in = _number(details.get("image_tokens")) if isinstance(details, dict) else 0
    text_in = max(_number(usage.get("input_tokens")) - image_in, 0)
    image_out = _number(usage.get("output_tokens"))
    if not text_in + image_in + image_out:
        return None
    return text_in * prices.text_in + image_in * prices.image_in + image_out * prices.image_out


def _counts(usage: object) -> Mapping[str, int]:
    if not isinstance(usage, dict):
        return NO_USAGE
    names = ("input_tokens", "output_tokens", "total_tokens")
    return {name: _number(usage.get(name)) for name in names if _number(usage.get(name))}


def _number(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count and isinstance(value, int) else 0


def _part(cost: int | None, index: int, parts: int) -> int | None:
    if cost is None:
        return None
    return cost // parts + (1 if index < cost % parts else 0)
