"""A worker of the whole app, in a process of its own, that dies at one step of a generation.

It kills itself with SIGKILL, so that the step is exact; the prompt of
the generation names the step, so that what earlier workers left behind runs normally.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from creditapp import create_app, jobs, ledger
from creditapp.config import load_settings
from creditapp.db import snapshot, transaction
from creditapp.generation import leases, sources, worker
from creditapp.generation.models import Generation
from creditapp.generation.providers import ProducedFile, SourceFile
from creditapp.media import FileMedia
from tests.faults.jobs_worker import record

LEASE_SECONDS, RENEW_SECONDS = 3, 0.5
"""Shorter than those of the app: most of a test would be spent waiting for their end."""

BEFORE_START = "1 before the start is committed"
BEFORE_CALL = "2 after the start, before the call"
DURING_CALL = "3 during the call"
BEFORE_MEDIA = "4 after the call, before the media"
BEFORE_ROW = "5 after the media, before its row"
AFTER_TWO = "6 two of four delivered"
BEFORE_SETTLE = "7 all delivered, before settling"
BEFORE_COMMIT = "8 settled, before the commit"
AFTER_SETTLE = "9 after the commit"


def run_worker(environ: dict[str, str], facts: Path, step: str, manner: str = "kill") -> None:
    """Run the app's jobs until SIGTERM, or until ``step``; ``hold`` waits there to be killed."""
    leases.LEASE_SECONDS = worker.LEASE_SECONDS = LEASE_SECONDS  # type: ignore[attr-defined]
    leases.RENEW_SECONDS = RENEW_SECONDS
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if step:
        _arm(KillPoint(facts, step, manner))
    app = create_app(load_settings(environ))
    with app.app_context():
        jobs.run(stop)


class KillPoint:
    """The step of a generation at which this process is killed; the prompt names it."""

    def __init__(self, facts: Path, step: str, manner: str) -> None:
        self.facts, self.step, self.manner = facts, step, manner

    def reach(self, step: str, prompt: str | None) -> None:
        if step != self.step or prompt != self.step:
            return
        record(self.facts, did=step)
        if self.manner == "hold":
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the signal is on its way; nothing more may happen here

    def reach_running(self, step: str, session: Session) -> None:
        """Reach the step if the generation whose prompt names it is running."""
        if step == self.step:
            running = Generation.prompt == step, Generation.state == "running"
            self.reach(step, session.scalar(select(Generation.prompt).where(*running)))


def _arm(kill_point: KillPoint) -> None:
    """Stop at public functions: those that the worker and settlement call."""
    read_files, deliver, settle = sources.read_files, worker.deliver, worker.settle
    store, capture = FileMedia.store, ledger.capture

    @contextmanager
    def begin() -> Iterator[Session]:
        with transaction() as session:
            yield session
            kill_point.reach_running(BEFORE_START, session)

    def reading(generation: Generation) -> dict[str, SourceFile]:
        kill_point.reach(BEFORE_CALL, generation.prompt)
        return read_files(generation)

    def delivering(
        generation: Generation, file: ProducedFile, should_stop: Callable[[], bool]
    ) -> bool:
        kill_point.reach(BEFORE_MEDIA, generation.prompt)
        if generation.delivered == 2:
            kill_point.reach(AFTER_TWO, generation.prompt)
        return deliver(generation, file, should_stop)

    def storing(media: FileMedia, data: bytes, mime_type: str) -> str:
        key = store(media, data, mime_type)
        with snapshot() as session:
            kill_point.reach_running(BEFORE_ROW, session)
        return key

    def settling(generation_id: str, *rest: Any, **named: Any) -> bool:
        with snapshot() as session:
            prompt = session.get_one(Generation, generation_id).prompt
        kill_point.reach(BEFORE_SETTLE, prompt)
        ended = settle(generation_id, *rest, **named)
        kill_point.reach(AFTER_SETTLE, prompt)
        return ended

    def capturing(connection: Connection, charge_id: int, *rest: Any, **named: Any) -> Any:
        charge = capture(connection, charge_id, *rest, **named)
        prompt = select(Generation.prompt).where(Generation.charge_id == charge_id)
        kill_point.reach(BEFORE_COMMIT, connection.scalar(prompt))
        return charge

    worker.transaction = begin  # type: ignore[assignment]
    sources.read_files, worker.deliver, worker.settle = reading, delivering, settling
    FileMedia.store = storing  # type: ignore[method-assign]
    ledger.capture = capturing  # type: ignore[attr-defined]
