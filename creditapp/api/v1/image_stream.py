"""Streams of images: partial ones as the provider shows them, the final ones with their cost."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from flask import Response, stream_with_context

from creditapp.api.requests import replay_headers
from creditapp.api.v1.generations import Ordered, charge_of, delivered, still_made
from creditapp.api.v1.image_answers import (
    QUALITIES,
    base64_of,
    created_of,
    output_format_of,
    usage_of,
)
from creditapp.api.waiting import POLL_SECONDS, state_of
from creditapp.db import snapshot, stop_reading
from creditapp.errors import AppError
from creditapp.generation import partial_images
from creditapp.generation.models import FINISHED, Generation, PartialImage
from creditapp.http.event_stream import HEARTBEAT, HEARTBEAT_SECONDS, event, event_stream
from creditapp.http.openai_errors import envelope
from creditapp.rate_limits import RESULT_WAIT_SECONDS
from creditapp.units import credits_number

_KINDS: Final = {"text-to-image": "image_generation", "image-to-image": "image_edit"}


def stream_response(ordered: Ordered, free: Callable[[], None]) -> Response:
    """Return the stream of an order; ``free`` is called when it has ended, or its client left.

    A client that leaves changes nothing: the generation goes on and is settled once.
    """
    generation = ordered.result.generation
    stop_reading()
    headers = {
        "X-Credits-Held": str(credits_number(generation.quoted_micro)),
        **replay_headers(replayed=ordered.result.replayed),
    }
    response = event_stream(stream_with_context(_events(ordered)), headers)
    response.call_on_close(free)
    return response


def _events(ordered: Ordered) -> Iterator[str]:
    generation, sent = ordered.result.generation, 0
    kind = _KINDS[generation.operation]
    quiet_since = time.monotonic()
    deadline = quiet_since + RESULT_WAIT_SECONDS
    yield HEARTBEAT
    while True:
        # In this order: what was shown before the end is sent.
        is_finished = state_of(ordered.id) in FINISHED
        with snapshot() as session:
            images = partial_images.list_from(session, ordered.id, sent)
        for image in images:
            yield event(f"{kind}.partial_image", _partial(generation, image, kind))
            sent, quiet_since = image.position + 1, time.monotonic()
        if is_finished:
            break
        if time.monotonic() > deadline:
            yield event("error", {"type": "error", **envelope(still_made(ordered.id))})
            return
        if time.monotonic() - quiet_since > HEARTBEAT_SECONDS:
            yield HEARTBEAT
            quiet_since = time.monotonic()
        time.sleep(POLL_SECONDS)
    try:
        yield from _finals(ordered, kind)
    except AppError as error:
        yield event("error", {"type": "error", **envelope(error)})
    finally:
        stop_reading()
        if sent:
            partial_images.forget(ordered.id)


def _finals(ordered: Ordered, kind: str) -> Iterator[str]:
    result = delivered(ordered.id, ordered.by)
    charge = charge_of(result.generation)
    stop_reading()
    for asset in result.assets:
        members = {
            "type": f"{kind}.completed",
            "b64_json": base64_of(asset),
            **_head(result.generation, asset.mime_type),
            "usage": usage_of(result.generation).model_dump(),
            "credits": charge.model_dump(by_alias=True),
        }
        yield event(members["type"], members)


def _partial(generation: Generation, image: PartialImage, kind: str) -> dict[str, Any]:
    return {
        "type": f"{kind}.partial_image",
        "b64_json": base64.b64encode(image.data).decode(),
        "partial_image_index": image.position,
        **_head(generation, image.mime_type),
    }


def _head(generation: Generation, mime_type: str) -> dict[str, Any]:
    return {
        "background": "auto",
        "created_at": created_of(generation),
        "output_format": output_format_of(mime_type),
        "quality": generation.quality if generation.quality in QUALITIES else "auto",
        "size": generation.size,
    }
