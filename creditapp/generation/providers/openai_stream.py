"""Streamed images of an OpenAI-compatible endpoint: partial ones at once, the final one at the end.

An endpoint that ignores ``stream`` sends its usual answer, which is read as such.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from creditapp.generation.providers import images as image_files
from creditapp.generation.providers import openai_answers, vendor_errors
from creditapp.generation.providers.protocol import GenerationFailed, PromptRejected


class ImageStream:
    """Reads the events of one call as their bytes arrive."""

    def __init__(self, note_partial: Callable[[bytes, str], None]) -> None:
        self._note_partial = note_partial
        self._rest = bytearray()
        self._searched = 0
        self._images: list[object] = []
        self._usage: object = None

    def feed(self, chunk: bytes) -> None:
        """Read the events that are complete with this chunk."""
        self._rest += chunk.replace(b"\r", b"")
        while (end := self._rest.find(b"\n\n", max(0, self._searched - 1))) >= 0:
            event = bytes(self._rest[:end])
            del self._rest[: end + 2]
            self._searched = 0
            self._take(event)
        self._searched = len(self._rest)

    def answer(self, body: bytes) -> object:
        """Return the answer as the endpoint gives it without a stream; ``body`` is all of it."""
        if self._images:
            return {"data": self._images, "usage": self._usage}
        try:
            answer: object = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        return answer if answer is not None else {"data": []}

    def _take(self, event: bytes) -> None:
        lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
        try:
            data: object = json.loads(b"\n".join(lines))
        except (ValueError, RecursionError):
            return  # a comment, or the end mark
        if not isinstance(data, dict):
            return
        if isinstance(error := data.get("error"), dict):
            if error.get("code") in vendor_errors.REJECTED_CODES:
                raise PromptRejected(reason=str(error["code"]))
            raise GenerationFailed(vendor_errors.VENDOR_FAILED, reason="error_in_answer")
        kind = str(data.get("type"))
        if kind.endswith(".completed"):
            self._images.append(data)
            self._usage = data.get("usage")
        elif kind.endswith(".partial_image"):
            self._show(data)

    def _show(self, data: object) -> None:
        try:
            image, file = openai_answers.image_of(data)
        except image_files.NotAnImage:
            return  # the final one decides
        self._note_partial(image, file.mime_type)
