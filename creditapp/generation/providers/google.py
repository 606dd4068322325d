"""Images from Google's Gemini models, by one native HTTP call for each image.

The call is ``POST /v1beta/models/<id>:generateContent``; the shapes are those of
``GenerateContentResponse`` in Google's own SDK, which is too heavy to depend on. A failed call is
never repeated: a repetition is a second bill.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import structlog

from creditapp.generation.providers import google_answers, transport
from creditapp.generation.providers.protocol import (
    ImageRequest,
    ProducedFile,
    ProviderError,
    Request,
    Work,
)

GOOGLE_BASE_URL = "https://generativelanguage.googleapis.com"
ANSWER_BYTES_MAX = 96 * 1024 * 1024
"""The largest answer that is read: some interim images and a last one in base64."""

_ASPECTS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""The shapes that every one of these models makes."""

_IMAGE_PARAMETERS = {"image_size": "imageSize", "person_generation": "personGeneration"}
"""Parameters of an entry that belong to the image; all others are of the generation."""

log = structlog.get_logger(__name__)


class GoogleProvider:
    """Call Gemini's image models; safe to use from several threads."""

    name = "google"
    repeatable = False
    makes = frozenset[type[Request]]({ImageRequest})

    def __init__(self, *, api_key: str, base_url: str | None, timeout_seconds: float) -> None:
        self._api_key = api_key
        self._base_url = (base_url or GOOGLE_BASE_URL).rstrip("/")
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        """Return the address, never the key."""
        return f"GoogleProvider({self._base_url!r})"

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield the image of one call after the other; progress moves with each."""
        if not isinstance(request, ImageRequest):
            raise TypeError(f"{type(request).__name__} is not made here")
        work.progress(0.0)
        for number in range(1, request.n + 1):
            if work.should_stop():
                return
            try:
                image = self._call(request)
            except ProviderError as error:
                log.warning("provider call failed", code=error.code, reason=error.reason)
                raise
            yield image
            work.progress(number / request.n)

    def _call(self, request: ImageRequest) -> ProducedFile:
        model = quote(request.provider_model, safe="")
        answer = transport.call(
            "POST",
            f"{self._base_url}/v1beta/models/{model}:generateContent",
            headers={"x-goog-api-key": self._api_key},
            body=body(request),
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=self._timeout_seconds,
        )
        if not answer.ok:
            raise google_answers.refusal(answer)
        return google_answers.image(answer, request.answers_as or request.provider_model)


def body(request: ImageRequest) -> dict[str, Any]:
    """Return the JSON of a request for one image."""
    image_config: dict[str, Any] = {}
    if request.takes_size:
        image_config["aspectRatio"] = _aspect(request.width, request.height)
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    for name, value in request.parameters.items():
        if name in _IMAGE_PARAMETERS:
            image_config[_IMAGE_PARAMETERS[name]] = value
        else:
            config[_camel(name)] = value
    if image_config:
        config["imageConfig"] = image_config
    if request.takes_seed:
        config["seed"] = request.seed
    images = [
        {"inlineData": {"mimeType": image.mime_type, "data": base64.b64encode(image.data).decode()}}
        for image in request.images
    ]
    return {
        "contents": [{"role": "user", "parts": [{"text": request.prompt}, *images]}],
        "generationConfig": config,
    }


def _aspect(width: int, height: int) -> str:
    """Return the vendor's shape that is nearest to the ordered pixels."""

    def distance(aspect: str) -> float:
        across, _, down = aspect.partition(":")
        ratio = width * int(down) / (height * int(across))
        return max(ratio, 1 / ratio)

    return min(_ASPECTS, key=distance)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
