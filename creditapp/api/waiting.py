"""Waiting for a generation's end inside a request: bounded, and holding nothing meanwhile."""

from __future__ import annotations

import re
import threading
import time

from flask import Flask, request
from sqlalchemy import select

from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading
from creditapp.generation.models import FINISHED, Generation
from creditapp.rate_limits import GENERATION_WAIT_SECONDS, waiting_requests
from creditapp.services import get, provide

POLL_SECONDS = 0.15

_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\"?")


class WaitingRoom:
    """How many requests may wait at once: a quarter of the server's threads.

    Whoever finds no room is answered at once and told where to look again, so that waits never
    keep anybody else from being served.
    """

    def __init__(self, threads: int) -> None:
        self.seats = threading.Semaphore(waiting_requests(threads))


def init_app(app: Flask) -> None:
    """Open the app's waiting room."""
    with app.app_context():
        provide(app, WaitingRoom, WaitingRoom(get(Settings).threads))


def wait_for_end(generation_id: str) -> bool:
    """Wait for as long as the caller prefers; return whether there is news of the generation.

    The request's own session is closed first, and each look is a short read of its own.
    """
    seconds, seats = preferred_seconds(), get(WaitingRoom).seats
    if seconds <= 0 or not seats.acquire(blocking=False):
        return False
    stop_reading()
    try:
        give_up_at = time.monotonic() + seconds
        while True:
            with snapshot() as session:
                state = session.scalar(
                    select(Generation.state).where(Generation.id == generation_id)
                )
            if state in FINISHED:
                return True
            if time.monotonic() + POLL_SECONDS > give_up_at:
                return True
            time.sleep(POLL_SECONDS)
    finally:
        seats.release()


def preferred_seconds() -> int:
    """Return how long the caller wants to wait: ``Prefer: wait=N`` or ``respond-async`` (RFC 7240).

    Whatever cannot be read is no preference; nobody waits longer than ``GENERATION_WAIT_SECONDS``.
    """
    prefer = request.headers.get("Prefer", "").lower()
    if "respond-async" in prefer:
        return 0
    wanted = _PREFER_WAIT.search(prefer)
    return min(int(wanted[1]), GENERATION_WAIT_SECONDS) if wanted else GENERATION_WAIT_SECONDS
