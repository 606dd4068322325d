"""Server-sent events: a response that is written while its events happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask import Response

from creditapp.http.json_provider import json_text

HEARTBEAT = ": waiting\n\n"
"""A comment, which readers ignore: it shows that the connection is open."""
HEARTBEAT_SECONDS: Final = 10.0
"""How long a stream may be silent."""


def event(name: str, data: object) -> str:
    """Return an event with its data as JSON."""
    return f"event: {name}\ndata: {json_text(data)}\n\n"


def data_only(data: object) -> str:
    """Return an event without a name; a text is sent as it is."""
    return f"data: {data if isinstance(data, str) else json_text(data)}\n\n"


def event_stream(events: Iterator[str], headers: dict[str, str]) -> Response:
    """Return the response that sends the events; close the request's read session before."""
    response = Response(events, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    # nginx keeps a response back until its buffer is full, unless this header forbids it.
    response.headers["X-Accel-Buffering"] = "no"
    response.headers.update(headers)
    return response
