"""What can be asked for: the handlers and the periodic work, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

RETRY_SECONDS = (2.0, 10.0, 60.0, 300.0)
"""How long a failed job waits before each further attempt; one attempt more than entries."""

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True)
class Handler:
    """Work for one row, and how often it may fail."""

    work: Callable[[str], None]
    retry_seconds: Sequence[float]


@dataclass(frozen=True)
class Periodic:
    """Work that comes again by the clock; ``busy`` while this process is at it."""

    work: Callable[[], None]
    cron: str
    busy: threading.Lock


handlers: dict[str, Handler] = {}
periodics: dict[str, Periodic] = {}


def handler(name: str, retry_seconds: Sequence[float] = RETRY_SECONDS) -> Callable[[F], F]:
    """Register the decorated function, which takes a row's id, as the work called ``name``."""

    def register(work: F) -> F:
        handlers[name] = Handler(work, tuple(retry_seconds))
        return work

    return register


def every(name: str, cron: str) -> Callable[[F], F]:
    """Register the decorated function, which takes nothing, to run by ``cron`` (UTC).

    ``cron`` has five fields, or six with the seconds first. Each tick runs on one worker only; a
    worker that is still at the last tick leaves out this one. A tick that fails is not tried
    again: the next one comes.
    """

    def register(work: F) -> F:
        periodics[name] = Periodic(work, cron, threading.Lock())
        return work

    return register
