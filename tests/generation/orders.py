"""A small order of each operation, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.app_factory import Person
from tests.generation.studio import Studio


@dataclass(frozen=True)
class SampleOrder:
    """An order with its quote, the length that comes by default, and what that costs."""

    path: str
    members: dict[str, Any]
    quoted: float
    charged: float
    milliseconds: int | None = None
    sources: Callable[[Studio, Person], dict[str, Any]] = field(default=lambda studio, person: {})

    def body(self, studio: Studio, person: Person, **members: Any) -> dict[str, Any]:
        """Return the body of the person's order, whose files to start from are brought first."""
        return {**self.members, **self.sources(studio, person), **members}


def face_and_voice(studio: Studio, person: Person, milliseconds: int = 10_001) -> dict[str, Any]:
    """Bring a face and a voice."""
    voice = studio.bring(person, "audio/mpeg", milliseconds=milliseconds)
    return {"image": studio.bring(person), "audio": voice}


ORDERS = {
    "text-to-image": SampleOrder(
        "/api/generate-image", {"prompt": "a quay", "model": "flux-dev", "n": 2}, 2, 2
    ),
    "image-to-image": SampleOrder(
        "/api/generate-image",
        {"prompt": "a quay at night", "model": "flux-dev"},
        *(1, 1),
        sources=lambda studio, person: {"images": [studio.bring(person)]},
    ),
    "upscale": SampleOrder(
        "/api/upscale-image",
        {},
        *(5, 5),
        sources=lambda studio, person: {"image": studio.bring(person)},
    ),
    "video": SampleOrder(
        "/api/generate-video",
        {"prompt": "waves", "seconds": 6},
        *(50, 50, 6000),
        sources=lambda studio, person: {"images": [studio.bring(person)]},
    ),
    "audio": SampleOrder(
        "/api/generate-audio", {"text": "x" * 400, "voice": "coral"}, 2, 1, 14_000
    ),
    "lipsync": SampleOrder("/api/generate-lipsync", {}, 40, 40, 10_001, sources=face_and_voice),
}

WITH_SOURCES = ("image-to-image", "upscale", "video", "lipsync")
