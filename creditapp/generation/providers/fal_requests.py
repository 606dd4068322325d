"""Translate a request into the arguments of a fal model.

fal's models share the names of what is common: ``prompt``, ``num_images``, ``image_size``,
``image_url``, ``video_url``, ``audio_url``, ``duration``, ``aspect_ratio``. What else a model takes
is in the catalog's entry.
"""

from __future__ import annotations

import base64
from math import gcd
from typing import Any

from creditapp.generation.providers.protocol import (
    ImageRequest,
    LipsyncRequest,
    Request,
    SourceFile,
    UpscaleRequest,
    VideoRequest,
)

LORA = "lora"
"""The parameter of an entry that names one LoRA; fal takes a list of them with their weights."""


def arguments(request: Request) -> dict[str, Any]:
    """Return the JSON of a submitted job."""
    match request:
        case ImageRequest():
            values = _image(request)
        case UpscaleRequest():
            values = {"image_url": _data_url(request.image)}
        case VideoRequest():
            values = _video(request)
        case LipsyncRequest():
            face = "image_url" if request.starts_from_image else "video_url"
            values = {face: _data_url(request.face), "audio_url": _data_url(request.voice)}
        case _:
            raise TypeError(f"{type(request).__name__} is not made here")
    parameters = dict(request.parameters)
    lora = parameters.pop(LORA, None)
    if lora is not None:
        values["loras"] = [{"path": lora, "scale": 1}]
    return {**values, **parameters}


def _image(request: ImageRequest) -> dict[str, Any]:
    values: dict[str, Any] = {"prompt": request.prompt, "num_images": request.n}
    # An edit has the size of its source.
    if request.takes_size and not request.images:
        values["image_size"] = {"width": request.width, "height": request.height}
    if request.takes_seed:
        values["seed"] = request.seed
    for name in ("quality", "negative_prompt", "style"):
        value = getattr(request, name)
        if value is not None:
            values[name] = value
    if len(request.images) == 1:
        values["image_url"] = _data_url(request.images[0])
    elif request.images:
        values["image_urls"] = [_data_url(image) for image in request.images]
    if request.mask is not None:
        values["mask_url"] = _data_url(request.mask)
    return values


def _video(request: VideoRequest) -> dict[str, Any]:
    values: dict[str, Any] = {"prompt": request.prompt, "duration": str(request.seconds)}
    if request.image is not None:
        values["image_url"] = _data_url(request.image)
    else:
        divisor = gcd(request.width, request.height)
        values["aspect_ratio"] = f"{request.width // divisor}:{request.height // divisor}"
    return values


def _data_url(file: SourceFile) -> str:
    return f"data:{file.mime_type};base64,{base64.b64encode(file.data).decode()}"
