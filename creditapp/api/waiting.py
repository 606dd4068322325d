"""Wait inside a request for a generation to end, without holding a session or transaction."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from flask import Flask, request
from sqlalchemy import select

from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading
from creditapp.errors import RateLimited
from creditapp.generation.models import FINISHED, Generation
from creditapp.http.gate import leave_gate
from creditapp.rate_limits import GENERATION_WAIT_SECONDS, waiting_requests
from creditapp.services import get, provide

POLL_SECONDS = 0.15
BUSY_SECONDS = 5

Owner = tuple[str, str]
"""The kind and id of the owner of what a caller makes."""

_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\"?")


class WaitingSlots:
    """The requests that may wait at once: a quarter of the server's threads.

    Without a free slot a request returns 202 at once, so that waiting never keeps others from
    being served, and one caller may have half of the slots: some routes cannot answer before the
    end, and refuse without a slot.
    """

    def __init__(self, threads: int) -> None:
        total = waiting_requests(threads)
        self.semaphore = threading.Semaphore(total)
        self._per_caller = max(1, total // 2)
        self._taken = Counter[Owner]()
        self._lock = threading.Lock()

    def take(self, owner: Owner) -> bool:
        """Take a slot for a caller; return whether there was one."""
        with self._lock:
            if self._taken[owner] >= self._per_caller:
                return False
            if not self.semaphore.acquire(blocking=False):
                return False
            self._taken[owner] += 1
            return True

    def free(self, owner: Owner) -> None:
        """Return a slot that was taken for a caller."""
        with self._lock:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
            self.semaphore.release()


def init_app(app: Flask) -> None:
    """Provide the app's waiting slots."""
    with app.app_context():
        provide(app, WaitingSlots, WaitingSlots(get(Settings).threads))


def wait_for_end(owner: Owner, generation_id: str, seconds: int | None = None) -> bool:
    """Wait for the end of a generation; return whether it must be read again.

    Without ``seconds`` the wait is as long as the request's ``Prefer`` says. The
    request's own session is closed first, and each poll is a short read of its own.
    """
    slots = get(WaitingSlots)
    if seconds is None:
        seconds = preferred_seconds()
    if seconds <= 0 or not slots.take(owner):
        return False
    try:
        await_end(generation_id, seconds)
    finally:
        slots.free(owner)
    return True


def take_slot(owner: Owner) -> Callable[[], None]:
    """Take a slot before anything is ordered, and return the function that gives it back.

    Raises ``RateLimited`` without a free one, for routes that cannot answer before the end.
    """
    slots = get(WaitingSlots)
    if not slots.take(owner):
        raise RateLimited.after(BUSY_SECONDS, "Many requests wait for results. Try again shortly.")
    return partial(slots.free, owner)


def await_end(generation_id: str, seconds: float) -> bool:
    """Wait in a slot until the generation has ended; return whether it has within the time."""
    stop_reading()
    leave_gate()
    deadline = time.monotonic() + seconds
    while state_of(generation_id) not in FINISHED:
        if time.monotonic() + POLL_SECONDS > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def state_of(generation_id: str) -> str | None:
    """Return the state of a generation by now, in a short read of its own."""
    with snapshot() as session:
        return session.scalar(select(Generation.state).where(Generation.id == generation_id))


def preferred_seconds() -> int:
    """Return how long the caller wants to wait: ``Prefer: wait=N`` or ``respond-async`` (RFC 7240).

    An unreadable preference is ignored; the maximum is ``GENERATION_WAIT_SECONDS``.
    """
    prefer = request.headers.get("Prefer", "").lower()
    if "respond-async" in prefer:
        return 0
    match = _PREFER_WAIT.search(prefer)
    return min(int(match[1]), GENERATION_WAIT_SECONDS) if match else GENERATION_WAIT_SECONDS
