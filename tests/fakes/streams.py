"""Streams of server-sent events, whole or spoiled in one way; used by the fakes of chat vendors."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from tests.fakes.vendor_server import Stream

WORDS = ("Häfen ", "sind ", "ruhig ⚓ ", "und ", "hell 🙂.")
"""The pieces of every answer; some characters have several bytes."""

INPUT, CACHED, CACHE_WRITE, OUTPUT, REASONING = 1200, 800, 200, 40, 10
"""The tokens of every answer, all of the prompt first."""

IMAGE = 1500
"""The tokens of each image of a prompt, besides those."""


def is_image(data: object, mime_type: object) -> bool:
    """Whether an image is base64 of a file that has the type."""
    if not isinstance(data, str):
        return False
    magic = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}
    begin = magic.get(str(mime_type))
    return begin is not None and base64.b64decode(data, validate=True).startswith(begin)


STREAM_FAULTS = {
    "bytewise": "sends every byte by itself",
    "cut_off": "resets the connection in the middle of the stream",
    "ends_early": "ends the stream in the middle, as if it were whole",
    "hang": "says nothing more in the middle",
    "bad_line": "sends no JSON in the middle",
    "not_utf8": "sends bytes that are no text in the middle",
    "error_inside": "sends an error in the middle",
    "overloaded": "sends that it is overloaded in the middle",
    "no_usage": "counts no tokens",
    "usage_twice": "sends the usage twice",
    "wild_usage": "counts tokens that cannot be",
    "other_model": "answers with another model",
    "nothing": "ends without a word and without usage",
    "no_text": "counts tokens and writes nothing",
    "length": "cuts the answer at its limit",
    "filtered": "cuts the answer by its rules",
}
"""Ways in which a stream is unusual or fails, besides those of every vendor."""


def block(data: object, event: str | None = None) -> bytes:
    """Return an event."""
    text = data if isinstance(data, str) else json.dumps(data)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


def spoiled(blocks: Sequence[bytes], fault: str, error: bytes) -> Stream:
    """Return the stream of the events, spoiled by ``fault``; ``error`` is the vendor's error event.

    ``cut_<n>`` resets the connection after n events.
    """
    half = blocks[: len(blocks) // 2]
    match fault:
        case "bytewise":
            whole = b"".join(blocks)
            return Stream([whole[at : at + 1] for at in range(len(whole))])
        case "cut_off":
            return Stream(half, "reset")
        case "ends_early":
            return Stream(half)
        case "hang":
            return Stream(half, "hang")
        case "bad_line":
            return Stream([*half, b"data: {no json\n\n", *blocks[len(half) :]])
        case "not_utf8":
            return Stream([*half, b"data: \xff\xfe\n\n", *blocks[len(half) :]])
        case "error_inside" | "overloaded":
            return Stream([*half, error])
        case _ if fault.startswith("cut_"):
            return Stream(blocks[: int(fault.removeprefix("cut_"))], "reset")
        case _:
            return Stream(blocks)
