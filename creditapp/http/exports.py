"""Exports: files that are sent while they are made, one at a time for each caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import AnyStr

from flask import Response

from creditapp.errors import RateLimited
from creditapp.rate_limits import EXPORTS_AT_ONCE, STALL_SECONDS
from creditapp.services import get


class Exports:
    """The exports that this process is sending, by caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: dict[object, object] = {}

    def begin(self, caller: object) -> Callable[[], None]:
        """Count an export and return what ends it, at the first call.

        Raises ``RateLimited`` while an earlier one is being sent.
        """
        export = object()
        with self._lock:
            if list(self._begun.values()).count(caller) >= EXPORTS_AT_ONCE:
                raise RateLimited.after(
                    STALL_SECONDS, "Your last export is still being sent.", limit=EXPORTS_AT_ONCE
                )
            self._begun[export] = caller
        return lambda: self._end(export)

    def _end(self, export: object) -> None:
        with self._lock:
            self._begun.pop(export, None)


def send(pieces: Iterator[AnyStr], name: str, mime_type: str, *, caller: object) -> Response:
    """Return the response that sends a file piece by piece.

    Close the request's read session before. Raises ``RateLimited`` while the caller's last one is
    being sent.
    """
    end = get(Exports).begin(caller)
    response = Response(_then(end, pieces), mimetype=mime_type)
    response.call_on_close(end)  # where the reader goes away before the first piece
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _then(end: Callable[[], None], pieces: Iterator[AnyStr]) -> Iterator[AnyStr]:
    try:
        yield from pieces
    finally:
        end()
