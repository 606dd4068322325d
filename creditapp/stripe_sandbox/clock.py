"""The sandbox's time: the real one plus an offset that people may move on.

Objects and their expiry go by this clock; deliveries and signatures go by the real one, because
the receiver compares them with its own.
"""

from __future__ import annotations

import time
from typing import Protocol

_OFFSET = "clock_offset_seconds"


class HasSettings(Protocol):
    """Where the offset is kept."""

    def setting(self, name: str, default: str) -> str:
        """Return a kept value."""

    def set_setting(self, name: str, value: str) -> None:
        """Keep a value."""


def offset(books: HasSettings) -> int:
    """Return by how many seconds the clock was moved on."""
    return int(books.setting(_OFFSET, "0"))


def now(books: HasSettings) -> int:
    """Return the sandbox's present moment in seconds since 1970."""
    return int(time.time()) + offset(books)


def advance(books: HasSettings, seconds: int) -> None:
    """Move the clock on; it never goes back."""
    if seconds < 0:
        raise ValueError("the clock moves forward only")
    books.set_setting(_OFFSET, str(offset(books) + seconds))
