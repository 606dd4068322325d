"""Answers of OpenAI's image endpoint, with every member that it sends; used by the fake."""

from __future__ import annotations

import base64
import hashlib
import struct
import time
import zlib
from collections.abc import Mapping
from typing import Any

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


def png(prompt: str, number: int, width: int, height: int) -> bytes:
    """Return a small PNG of bands in colours that depend on the prompt."""
    digest = hashlib.sha256(f"{number}|{prompt}".encode()).digest()
    rows = bytearray()
    for y in range(height):
        band = y * 8 // height
        rows += b"\0" + digest[band : band + 3] * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_of(header, zlib.compress(bytes(rows), 1))


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return png_of(header, zlib.compress(bytes(100_000)))


def png_of(header: bytes, pixels: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
