"""Sandbox clock: the real time plus an offset that can only be advanced.

Objects and their expiry use this clock. Deliveries and signatures use the real time, because the
receiver compares them with its own clock.
"""

from __future__ import annotations

import time
from typing import Protocol

_OFFSET = "clock_offset_seconds"


class HasSettings(Protocol):
    """A store of settings, which holds the clock offset."""

    def setting(self, name: str, default: str) -> str:
        """Return a stored value, or the default."""

    def set_setting(self, name: str, value: str) -> None:
        """Store a value."""


def offset(store: HasSettings) -> int:
    """Return the offset of the clock in seconds."""
    return int(store.setting(_OFFSET, "0"))


def now(store: HasSettings) -> int:
    """Return the sandbox's current time in seconds since 1970."""
    return int(time.time()) + offset(store)


def advance(store: HasSettings, seconds: int) -> None:
    """Advance the clock; raise ``ValueError`` for negative seconds."""
    if seconds < 0:
        raise ValueError("the clock moves forward only")
    store.set_setting(_OFFSET, str(offset(store) + seconds))
