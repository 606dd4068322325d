"""Answers of OpenAI's image endpoint, with every member that it sends; used by the fake."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes import media_files

OUTPUT_TOKENS = {"low": 272, "medium": 1056, "high": 4160, "xhigh": 7400, "max": 16_800}


def answer(given: Mapping[str, object], path: str) -> dict[str, Any]:
    """Return the answer to valid parameters, with every member that OpenAI sends."""
    size, quality = str(given.get("size") or "auto"), str(given.get("quality") or "auto")
    size = "1024x1024" if size == "auto" else size
    quality = "medium" if quality == "auto" else quality
    width, height = (int(side) for side in size.split("x"))
    count = given.get("n") or 1
    assert isinstance(count, int)
    text_tokens = len(str(given["prompt"])) // 4 + 1
    image_tokens = 323 if path.endswith("edits") else 0
    output_tokens = count * OUTPUT_TOKENS[quality] * width * height // 1024**2
    answer: dict[str, Any] = {
        "created": int(time.time()),
        "background": "opaque" if given.get("background") in (None, "auto") else "transparent",
        "data": [
            {"b64_json": base64.b64encode(png(str(given["prompt"]), n, width, height)).decode()}
            for n in range(count)
        ],
        "output_format": "png",
        "quality": quality,
        "size": size,
        "usage": {
            "input_tokens": text_tokens + image_tokens,
            "input_tokens_details": {"image_tokens": image_tokens, "text_tokens": text_tokens},
            "output_tokens": output_tokens,
            "output_tokens_details": {"image_tokens": output_tokens, "text_tokens": 0},
            "total_tokens": text_tokens + image_tokens + output_tokens,
        },
    }
    if user := given.get("safety_identifier") or given.get("user"):
        answer["safety_identifier"] = user
    return answer


def stream_events(given: Mapping[str, object], path: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: partial images, which are smaller, and the final one."""
    whole = answer(given, path)
    kind = "image_edit" if path.endswith("edits") else "image_generation"
    head = {name: whole[name] for name in ("background", "output_format", "quality", "size")}
    head["created_at"] = whole["created"]
    count = given.get("partial_images") or 0
    assert isinstance(count, int)
    for index in range(count):
        data = base64.b64encode(png(f"partial {index}", 0, 64, 64)).decode()
        event = {"type": f"{kind}.partial_image", "b64_json": data, "partial_image_index": index}
        yield {**event, **head}
    final = whole["data"][0]["b64_json"]
    yield {"type": f"{kind}.completed", "b64_json": final, **head, "usage": whole["usage"]}


def png(prompt: str, number: int, width: int, height: int) -> bytes:
    """Return the image of a prompt with this number."""
    return media_files.png(f"{number}|{prompt}", width, height)
