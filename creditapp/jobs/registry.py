"""Registered handlers and periodic jobs, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

RETRY_SECONDS = (2.0, 10.0, 60.0, 300.0)
"""The wait before each retry of a failed job; there is one attempt more than entries."""

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True)
class Handler:
    """A job's function, with the wait before each retry."""

    work: Callable[[str], None]
    retry_seconds: Sequence[float]


@dataclass(frozen=True)
class Periodic:
    """A scheduled job; ``busy`` is locked while this process runs it."""

    work: Callable[[], None]
    cron: str
    busy: threading.Lock


handlers: dict[str, Handler] = {}
periodics: dict[str, Periodic] = {}


def handler(name: str, retry_seconds: Sequence[float] = RETRY_SECONDS) -> Callable[[F], F]:
    """Register the decorated function, which takes a row's id, as the job ``name``."""

    def register(work: F) -> F:
        handlers[name] = Handler(work, tuple(retry_seconds))
        return work

    return register


def every(name: str, cron: str) -> Callable[[F], F]:
    """Register the decorated function, which takes no arguments, to run by ``cron`` (UTC).

    ``cron`` has five fields, or six with the seconds first. Each tick runs on one worker only; a
    worker that still runs the previous tick skips this one. A failed tick is not retried.
    """

    def register(work: F) -> F:
        periodics[name] = Periodic(work, cron, threading.Lock())
        return work

    return register
