"""Sentences for files that are not accepted: what is wrong with it and what would be accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from creditapp.errors import ValidationFailed
from creditapp.generation.providers.images import PIXELS_MAX, SIDE_MAX

_NAMES = {"image": "an image", "audio": "audio", "video": "a video"}


def refusal_of(facts: Mapping[str, Any]) -> ValidationFailed:
    """Return the refusal of a file; ``refused`` of the facts is the reason."""
    return ValidationFailed.of("file", _sentence(facts))


def _sentence(facts: Mapping[str, Any]) -> str:
    match facts["refused"]:
        case "empty":
            return "This file is empty. Choose another one."
        case "kind":
            needed = " or ".join(_NAMES[kind] for kind in facts["kinds"])
            return f"This is {_NAMES[facts['kind']]}. Choose {needed}."
        case "too_many_pixels":
            return (
                f"This has {facts['width']:,} × {facts['height']:,} pixels; at most {SIDE_MAX:,} "
                f"on a side and {PIXELS_MAX // 10**6} million in all fit. Make it smaller first."
            )
        case "animated":
            return "This image is animated. Choose one that stands still."
        case "too_long":
            return f"This is longer than {facts['seconds_max']} seconds. Cut it first."
        case "codec":
            return (
                f"This is encoded as {facts['codec']}, which is not accepted. Save video as H.264, "
                "audio as MP3, AAC or WAV."
            )
        case "no_stream":
            return "There is no sound and no moving image in this file. Choose another one."
        case "costly":
            return (
                "This file takes too much time or memory to read. Save it again in another "
                "program, and try that."
            )
        case _:
            return "This file is damaged and cannot be read. Save it again, and try that."
