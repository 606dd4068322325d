"""Workers are killed while they deliver: no event is lost, and it comes again under its id."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from flask import Flask

from creditapp import jobs
from creditapp.config import Settings
from creditapp.jobs.engine import JobStore
from creditapp.runtime import server
from creditapp.services import get
from tests.app_factory import Person, close_app, new_app
from tests.processes import start_command
from tests.webhooks_out.hooks import PATH
from tests.webhooks_out.receiver import Receiver
from tests.webhooks_out.test_events import charge


class Workers:
    """An app that runs no job, and worker processes as ``./run worker`` starts them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.app = new_app(url, folder, {"CREDITAPP_WEBHOOKS_TO_LOOPBACK": "1"})
        with self.app.app_context():
            server.prepare(self.app)
            settings = get(Settings)
            jobs.init_app(self.app, settings.database_url, settings.data_dir)
        self.environ = dict(settings.environ)
        self.started: list[ForkServerProcess] = []

    def start(self) -> ForkServerProcess:
        worker = start_command("worker", environ=self.environ, folder=self.folder)
        self.started.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.started:
            worker.kill()
            worker.join()
        with self.app.app_context():
            get(JobStore).records.engine.dispose()
        close_app(self.app)


@pytest.fixture
def workers(database_url: str, tmp_path: Path) -> Iterator[Workers]:
    """Worker processes on a database of their own."""
    made = Workers(database_url, tmp_path)
    yield made
    made.close()


@pytest.mark.slow
def test_a_worker_that_is_killed_during_the_call_loses_nothing(
    workers: Workers, receiver: Receiver
) -> None:
    app: Flask = workers.app
    alice = Person(app).open_account("alice@example.com")
    body = {"url": receiver.url, "events": ["credits.spent"]}
    endpoint = alice.call("POST", PATH, body).json
    receiver.secret = endpoint["secret"]
    killed = threading.Event()
    receiver.before = lambda: killed.wait(30)
    for _ in range(3):
        charge(alice, 1)
    first = workers.start()
    receiver.wait_for(1, 60)
    first.kill()
    first.join(30)
    assert first.exitcode == -signal.SIGKILL
    killed.set()
    workers.start()
    receiver.wait_for(4, 60)
    deadline = time.monotonic() + 30
    while True:
        log = alice.call("GET", f"{PATH}/{endpoint['id']}/deliveries").json["items"]
        if {each["state"] for each in log} == {"delivered"}:
            break
        assert time.monotonic() < deadline, log
        time.sleep(0.1)
    assert receiver.ids[1] == receiver.ids[0], "the one whose worker died comes again"
    assert receiver.bodies[1] == receiver.bodies[0]
    assert {each["id"] for each in log} == set(receiver.ids)
    assert len(set(receiver.ids)) == 3
