"""Translate a request into the parameters of an OpenAI-compatible endpoint.

Only what every such endpoint knows is written here. The rest comes from the catalog's entry of the
model: its name does not tell what it takes, because gateways put a prefix before it.
"""

from __future__ import annotations

from typing import Any

from creditapp.generation.providers.protocol import ImageRequest


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
    if request.parameters:
        # Apart from the SDK's own arguments, because it does not know those of other vendors.
        values["extra_body"] = dict(request.parameters)
    return values
