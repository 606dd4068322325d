"""Parse server-sent events from the chunks of a vendor's answer, wherever these are cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from creditapp.generation.providers import GenerationFailed, vendor_errors

LINE_BYTES_MAX: Final = 1024 * 1024
DONE: Final = "[DONE]"
"""The data of OpenAI's last event."""


def read_events(chunks: Iterable[bytes]) -> Iterator[Mapping[str, object]]:
    """Yield the JSON object of each event's data, up to ``[DONE]`` or the end of the chunks.

    Raises ``GenerationFailed`` for data that is no JSON object, and for an answer with no event at
    all, such as a web page.
    """
    event_count = 0
    for data in _data(chunks):
        if data == DONE:
            return
        event_count += 1
        yield _object(data)
    if not event_count:
        raise unreadable("no_event")


def unreadable(reason: str) -> GenerationFailed:
    """Return the error of an answer that cannot be read."""
    return GenerationFailed(vendor_errors.UNREADABLE, reason=reason)


def _data(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event; several lines of one are joined."""
    lines: list[str] = []
    for line in _lines(chunks):
        if not line and lines:
            yield "\n".join(lines)
            lines = []
        elif line.startswith("data:"):
            lines.append(line.removeprefix("data:").removeprefix(" "))
    if lines:
        # The last event lacks its blank line: it may be whole, and its JSON tells.
        yield "\n".join(lines)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _decoded(line.removesuffix(b"\r"))
        if len(rest) > LINE_BYTES_MAX:
            raise GenerationFailed(vendor_errors.TOO_LARGE, reason="line_too_long")
    if rest:
        yield _decoded(rest)


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise unreadable("not_utf8") from None


def _object(data: str) -> Mapping[str, object]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise unreadable("not_json")
    return parsed
