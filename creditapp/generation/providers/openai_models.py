"""Translate a request into the parameters of an OpenAI-compatible endpoint.

Only what every such endpoint knows is written here. The rest comes from the catalog's entry of the
model: its name does not tell what it takes, because gateways put a prefix before it.
"""

from __future__ import annotations

from typing import Any

from creditapp.generation.providers.protocol import ImageRequest, SpeechRequest

_SPEECH_FORMATS = {"ogg": "opus"}
"""The endpoint's names of formats, where they differ: its Opus comes in an Ogg file."""


def parameters(request: ImageRequest, count: int) -> dict[str, Any]:
    """Return the arguments of ``images.generate`` and ``images.edit`` for ``count`` images."""
    values: dict[str, Any] = {"prompt": request.prompt, "model": request.provider_model}
    if request.takes_size:
        values["size"] = f"{request.width}x{request.height}"
    if count != 1:
        # One is the default everywhere, and some endpoints refuse the parameter.
        values["n"] = count
    if request.quality is not None:
        values["quality"] = request.quality
    # Apart from the SDK's own arguments, because it does not know those of other vendors.
    extra: dict[str, Any] = dict(request.parameters)
    if request.takes_seed:
        extra["seed"] = request.seed
    if request.negative_prompt is not None:
        extra["negative_prompt"] = request.negative_prompt
    if request.style is not None:
        extra["style"] = request.style
    if extra:
        values["extra_body"] = extra
    if request.partial_images:
        values |= {"stream": True, "partial_images": request.partial_images}
    return values


def speech_parameters(request: SpeechRequest) -> dict[str, Any]:
    """Return the arguments of ``audio.speech.create``."""
    values: dict[str, Any] = {
        "input": request.text,
        "model": request.provider_model,
        "voice": request.voice,
        "response_format": _SPEECH_FORMATS.get(request.format, request.format),
    }
    if request.parameters:
        values["extra_body"] = dict(request.parameters)
    return values
