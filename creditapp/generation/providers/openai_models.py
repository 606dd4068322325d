"""Which parameters an image model takes: the request's wishes in the words of the model.

From the SDK's ``ImageGenerateParams`` (3.52.0). A model that is not OpenAI's own gets only what
every compatible endpoint knows, and is told to answer with the bytes instead of an address.
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
    # The words of the retired models, which catalogs may still use.
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
    """Return what to send for ``count`` pictures of ``request``."""
    wishes = Parameters(prompt=request.prompt, model=request.provider_model, size=size(request))
    if count != 1:
        # One is everybody's default, and some endpoints refuse the very word.
        wishes["n"] = count
    if is_gpt_image(request.provider_model):
        wishes["output_format"] = "png"
        quality = quality_for(request.provider_model, request.quality)
        if quality != "auto":
            wishes["quality"] = quality
    else:
        wishes["response_format"] = "b64_json"
    return wishes


def is_gpt_image(model: str) -> bool:
    """Return whether ``model`` is one of OpenAI's own image models."""
    return model.startswith(("gpt-image-", "chatgpt-image-"))


def quality_for(model: str, quality: str | None) -> Quality:
    """Return the nearest quality that ``model`` has; an unknown word leaves it to the model."""
    wanted = _QUALITIES.get(quality or "auto", "auto")
    if wanted in ("xhigh", "max") and not model.startswith("gpt-image-2.5-"):
        return "high"
    return wanted


def size(request: ImageRequest) -> str:
    """Return the size to ask for, as ``1024x1024``.

    gpt-image-2 and 2.5 draw any size in steps of 16 up to a ratio of 3:1; the others have three,
    of which the one with the nearest shape is taken. Other vendors get what was asked for.
    """
    width, height = request.width, request.height
    if is_gpt_image(request.provider_model) and (width, height) not in _STANDARD_SIZES:
        if _draws_any_size(request.provider_model) and _is_drawable(width, height):
            return f"{width}x{height}"
        width, height = min(
            _STANDARD_SIZES, key=lambda side: abs(side[0] * height - side[1] * width) / side[1]
        )
    return f"{width}x{height}"


def _draws_any_size(model: str) -> bool:
    return model in ("gpt-image-2", "gpt-image-2-2026-04-21") or model.startswith("gpt-image-2.5-")


def _is_drawable(width: int, height: int) -> bool:
    if width % _SIDE_STEP or height % _SIDE_STEP or max(width, height) > 3840:
        return False
    return max(width, height) <= _RATIO_MAX * min(width, height) and width * height <= 3840 * 2160
