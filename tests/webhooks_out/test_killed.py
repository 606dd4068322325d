"""Workers are killed while they deliver: no event is lost, and it comes again under its id."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from flask import Flask

from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH
from tests.webhooks_out.receiver import Receiver
from tests.webhooks_out.test_events import charge
from tests.webhooks_out.workers import Workers


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
