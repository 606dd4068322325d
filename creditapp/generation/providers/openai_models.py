"""Translate a request into the parameters that an image model takes.

Source: the SDK's ``ImageGenerateParams`` (3.52.0). A model that is not OpenAI's own gets only the
parameters of every compatible endpoint, and is asked for bytes instead of an address.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from creditapp.generation.providers.protocol import ImageRequest

Quality = Literal["low", "medium", "high", "xhigh", "max", "auto"]

_QUALITIES: dict[str, Quality] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
    "auto": "auto",
    # Qualities of the retired models, which catalogs may still use.
    "standard": "medium",
    "hd": "high",
}
_STANDARD_SIZES = ((1024, 1024), (1536, 1024), (1024, 1536))
_SIDE_STEP = 16
_RATIO_MAX = 3


class Parameters(TypedDict, total=False):
    """The parameters that ``images.generate`` and ``images.edit`` share."""

    prompt: str
    model: str
    n: int
    size: str
    quality: Quality
    output_format: Literal["png"]
    response_format: Literal["b64_json"]


def parameters(request: ImageRequest, count: int) -> Parameters:
    """Return the parameters for ``count`` images of ``request``."""
    values = Parameters(prompt=request.prompt, model=request.provider_model, size=size(request))
    if count != 1:
        # One is the default everywhere, and some endpoints refuse the parameter.
        values["n"] = count
    if is_gpt_image(request.provider_model):
        values["output_format"] = "png"
        quality = quality_for(request.provider_model, request.quality)
        if quality != "auto":
            values["quality"] = quality
    else:
        values["response_format"] = "b64_json"
    return values


def is_gpt_image(model: str) -> bool:
    """Return whether ``model`` is one of OpenAI's own image models."""
    return model.startswith(("gpt-image-", "chatgpt-image-"))


def quality_for(model: str, quality: str | None) -> Quality:
    """Return the nearest quality that ``model`` has; ``auto`` for an unknown one."""
    nearest = _QUALITIES.get(quality or "auto", "auto")
    if nearest in ("xhigh", "max") and not model.startswith("gpt-image-2.5-"):
        return "high"
    return nearest


def size(request: ImageRequest) -> str:
    """Return the size parameter, as ``1024x1024``.

    gpt-image-2 and 2.5 take any size in steps of 16 up to a ratio of 3:1; OpenAI's others have
    three sizes, of which the nearest shape is taken. Other vendors get the request's size.
    """
    width, height = request.width, request.height
    if is_gpt_image(request.provider_model) and (width, height) not in _STANDARD_SIZES:
        if _takes_any_size(request.provider_model) and _is_valid_size(width, height):
            return f"{width}x{height}"
        width, height = min(
            _STANDARD_SIZES, key=lambda side: abs(side[0] * height - side[1] * width) / side[1]
        )
    return f"{width}x{height}"


def _takes_any_size(model: str) -> bool:
    return model in ("gpt-image-2", "gpt-image-2-2026-04-21") or model.startswith("gpt-image-2.5-")


def _is_valid_size(width: int, height: int) -> bool:
    if width % _SIDE_STEP or height % _SIDE_STEP or max(width, height) > 3840:
        return False
    return max(width, height) <= _RATIO_MAX * min(width, height) and width * height <= 3840 * 2160
