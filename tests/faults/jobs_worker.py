"""Worker process for tests that kill it: its jobs record their progress.

Each fact is one line of JSON, written by one ``write`` to a file opened for appending, so that the
lines of several processes do not mix and those of a killed process are whole.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from creditapp import jobs
from creditapp.clock import Clock
from creditapp.jobs import engine, registry
from creditapp.services import provide


def record(facts: Path, **fact: Any) -> None:
    line = json.dumps({**fact, "pid": os.getpid(), "at": time.time()}) + "\n"
    file = os.open(facts, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read_facts(facts: Path) -> list[dict[str, Any]]:
    if not facts.exists():
        return []
    return [json.loads(line) for line in facts.read_text().splitlines()]


def register(facts: Path) -> None:
    """Register the handlers under test; the test enqueues their jobs, the children run them."""

    def recorded(name: str, between: Callable[[str], None]) -> None:
        def work(row_id: str) -> None:
            record(facts, did=f"{name} begun", id=row_id)
            between(row_id)
            record(facts, did=f"{name} ended", id=row_id)

        jobs.handler(f"test.{name}", retry_seconds=())(work)

    recorded("quick", lambda row_id: None)
    recorded("short", lambda row_id: time.sleep(0.15))
    recorded("gated", lambda row_id: wait_for(facts.with_name("gate")))
    recorded("bomb", lambda row_id: os.kill(os.getpid(), signal.SIGKILL))


def wait_for(gate: Path) -> None:
    while not gate.exists():
        time.sleep(0.01)


def new_app(database_url: str, data_dir: Path) -> Flask:
    data_dir.mkdir(parents=True, exist_ok=True)
    app = Flask("jobs_under_test")
    provide(app, Clock, Clock())
    jobs.init_app(app, database_url, data_dir)
    return app


def work(database_url: str, data_dir: Path, facts: Path, options: tuple[str, ...]) -> None:
    """Run jobs until SIGTERM or a kill."""
    registry.handlers.clear()  # the app's own handlers need the whole app
    registry.periodics.clear()
    register(facts)
    if "ticking" in options:
        jobs.every("test.tick", "* * * * * *")(lambda: record(facts, did="tick"))
    if "brittle" in options:
        engine.KILLS_MAX = 1
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with new_app(database_url, data_dir).app_context():
        jobs.run(stop)
