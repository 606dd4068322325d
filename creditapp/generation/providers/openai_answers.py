"""Parse an endpoint's answer into files; anything else does not count as delivered."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from creditapp.generation.providers import images as image_files
from creditapp.generation.providers import recordings, vendor_errors
from creditapp.generation.providers.protocol import NO_USAGE, GenerationFailed, ProducedFile

ANSWER_BYTES_MAX = 192 * 1024 * 1024
"""The largest answer that is read: ten large images in base64."""

_STANDARD_ALPHABET = str.maketrans("-_", "+/")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """US dollars for a million tokens, which are millionths of a dollar for one token."""

    text_in: int
    image_in: int
    image_out: int


def read(
    answer: object, count: int, prices: TokenPrices | None
) -> tuple[list[ProducedFile], int | None]:
    """Return the usable images of ``answer``, at most ``count``, and our cost of the call.

    The cost, in millionths of a dollar, is ``None`` when prices or usage are unknown. It is split
    over the images so that the parts add up to the whole.
    """
    body: Mapping[str, object] = answer if isinstance(answer, dict) else {}
    usage = body.get("usage")
    cost = _cost(usage, prices)
    items = body.get("data")
    # Images beyond the order are dropped: the user does not pay for them.
    parsed = [_image(item) for item in (items if isinstance(items, list) else [])[:count]]
    usable = [image for image in parsed if image is not None]
    images = []
    for index, (data, file) in enumerate(usable):
        images.append(
            ProducedFile(
                data=data,
                mime_type=file.mime_type,
                width=file.width,
                height=file.height,
                provider_cost_micros_usd=_part(cost, index, len(usable)),
                usage=_counts(usage) if index == 0 else NO_USAGE,
            )
        )
    return images, cost


def read_speech(body: bytes) -> ProducedFile:
    """Return the audio that an answer's body is; raise ``GenerationFailed`` for anything else."""
    try:
        speech = recordings.inspect(body, "audio")
    except recordings.NotARecording as error:
        log.warning("provider sent no audio", reason=error.reason)
        raise GenerationFailed(vendor_errors.NO_RECORDING, reason="no_audio") from None
    return ProducedFile(data=body, mime_type=speech.mime_type, milliseconds=speech.milliseconds)


def image_of(item: object) -> tuple[bytes, image_files.ImageFile]:
    """Return the bytes of an item with what they are; raise ``NotAnImage``."""
    data = _bytes_of(item)
    return data, image_files.inspect(data)


def _image(item: object) -> tuple[bytes, image_files.ImageFile] | None:
    try:
        return image_of(item)
    except image_files.NotAnImage as error:
        log.warning("provider sent no image", reason=error.reason)
        return None


def _bytes_of(item: object) -> bytes:
    if not isinstance(item, dict):
        raise image_files.NotAnImage("no_object")
    text, url = item.get("b64_json"), item.get("url")
    if not text and isinstance(url, str):
        # An address is never fetched: it could name a host of the operator's own network.
        if not url.startswith("data:image/"):
            raise image_files.NotAnImage("address_instead_of_bytes")
        text = url
    if not isinstance(text, str) or not text:
        raise image_files.NotAnImage("no_bytes")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    # Compatible gateways wrap lines, leave out the padding, or send the URL-safe alphabet.
    text = "".join(text.split()).rstrip("=").translate(_STANDARD_ALPHABET)
    if len(text) > image_files.BYTES_MAX * 4 // 3 + 4:
        raise image_files.NotAnImage("too_many_bytes")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise image_files.NotAnImage("bad_base64") from error


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
    counts = {name: _number(usage.get(name)) for name in names}
    details = usage.get("input_tokens_details")
    if isinstance(details, dict):
        counts["input_image_tokens"] = _number(details.get("image_tokens"))
    return {name: value for name, value in counts.items() if value}


def _number(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count and isinstance(value, int) else 0


def _part(cost: int | None, index: int, parts: int) -> int | None:
    if cost is None:
        return None
    return cost // parts + (1 if index < cost % parts else 0)
