"""A worker of the whole app, in a process of its own, that dies at one step of a generation.

It kills itself with SIGKILL, so that the step is exact; the prompt of
the generation names the step, so that what earlier workers left behind runs normally.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from creditapp import create_app, jobs
from creditapp.config import load_settings
from creditapp.db import snapshot, transaction
from creditapp.generation import settlement, worker
from creditapp.generation.models import Generation
from tests.faults.jobs_worker import record

BEFORE_START = "1 before the start is committed"
BEFORE_CALL = "2 after the start, before the call"
DURING_CALL = "3 during the call"
BEFORE_MEDIA = "4 after the call, before the media"
BEFORE_SETTLE = "5 after the media, before settling"
BEFORE_COMMIT = "6 settled, before the commit"
AFTER_SETTLE = "7 after the commit"


def run_worker(environ: dict[str, str], facts: Path, step: str, manner: str = "kill") -> None:
    """Run the app's jobs until SIGTERM, or until ``step``; ``hold`` waits there to be killed."""
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


def _arm(kill_point: KillPoint) -> None:
    genuine: dict[str, Any] = {
        "produce": worker._produce,
        "store": worker._store,
        "settle": worker.settle,
        "post": settlement._post,
    }

    @contextmanager
    def begin() -> Iterator[Session]:
        with transaction() as session:
            yield session
            prompt = session.scalar(
                select(Generation.prompt).where(
                    Generation.prompt == BEFORE_START, Generation.state == "running"
                )
            )
            kill_point.reach(BEFORE_START, prompt)

    def produce(generation: Generation, *rest: Any) -> None:
        kill_point.reach(BEFORE_CALL, generation.prompt)
        genuine["produce"](generation, *rest)

    def store(generation: Generation, *rest: Any) -> Any:
        kill_point.reach(BEFORE_MEDIA, generation.prompt)
        return genuine["store"](generation, *rest)

    def settle(generation_id: str, *rest: Any, **named: Any) -> bool:
        with snapshot() as session:
            prompt = session.get_one(Generation, generation_id).prompt
        kill_point.reach(BEFORE_SETTLE, prompt)
        ended: bool = genuine["settle"](generation_id, *rest, **named)
        kill_point.reach(AFTER_SETTLE, prompt)
        return ended

    def post(session: Session, generation: Generation, *rest: Any) -> None:
        genuine["post"](session, generation, *rest)
        session.flush()
        kill_point.reach(BEFORE_COMMIT, generation.prompt)

    worker.transaction = begin  # type: ignore[assignment]
    worker._produce, worker._store, worker.settle = produce, store, settle  # type: ignore[assignment]
    settlement._post = post
