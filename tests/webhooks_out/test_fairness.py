"""Slow receivers wait for each other, and for nobody else's threads."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from creditapp import jobs
from creditapp.runtime import tasks
from creditapp.webhooks_out import runs
from creditapp.webhooks_out.runs import SLOW_MILLISECONDS
from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH, Hooks, queue_again
from tests.webhooks_out.receiver import Json, Receiver
from tests.webhooks_out.test_events import charge
from tests.webhooks_out.workers import Workers


def partition_of_next_run(
    hooks: Hooks, endpoint: Json, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Queue an event, start its run, and return its partition: of which receivers, and whose."""
    queue_again(hooks, endpoint)
    started: list[tuple[str, str]] = []
    with hooks.app.app_context(), monkeypatch.context() as patched:
        patched.setattr(
            jobs, "enqueue", lambda _name, row_id, *, partition: started.append((row_id, partition))
        )
        tasks.sweep_webhooks()
    ((job, partition),) = started
    hooks.queue.waiting.append(("webhooks", job))
    kind, _, member = partition.partition("/")
    return kind, member


@pytest.mark.parametrize("status", [204, 500])
def test_a_slow_receiver_is_called_in_threads_of_its_own_for_a_while(
    alice: Person,
    charlie: Person,
    hooks: Hooks,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setattr(runs, "SLOW_MILLISECONDS", 300)
    receiver.status = status
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    kind, member = partition_of_next_run(hooks, endpoint, monkeypatch)
    assert kind == "webhooks", "a new endpoint is as good as any"
    receiver.before = lambda: threading.Event().wait(0.4)
    hooks.queue.run()
    receiver.before = lambda: None
    hooks.clock.advance(timedelta(seconds=20))
    assert partition_of_next_run(hooks, endpoint, monkeypatch) == ("webhooks-slow", member)
    hooks.queue.run()
    hooks.clock.advance(runs.SLOW_FOR)
    assert partition_of_next_run(hooks, endpoint, monkeypatch) == ("webhooks", member)


def test_a_slow_answer_ends_the_run(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would hold a thread of all the others for the next slow answer too."""
    monkeypatch.setattr(runs, "SLOW_MILLISECONDS", 0)
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    for _ in range(3):
        queue_again(hooks, endpoint)
    for sent in (1, 2, 3):
        hooks.deliver()
        assert len(receiver.ids) == sent
    listed = alice.call("GET", PATH).json["items"][0]
    assert listed["failingSince"] is None


@pytest.mark.slow
def test_accounts_with_slow_receivers_leave_the_threads_of_a_worker_to_the_others(
    workers: Workers, receiver: Receiver
) -> None:
    """Two endpoints each of four accounts would fill the eight threads of a worker."""
    slow = Receiver()
    first_waits = iter([SLOW_MILLISECONDS / 1000 + 0.2] * 8)
    slow.before = lambda: threading.Event().wait(next(first_waits, 13))
    for name in ("alice", "bob", "dora", "emil"):
        person = Person(workers.app).open_account(f"{name}@example.com")
        for _ in range(2):
            body = {"url": slow.url, "events": ["credits.spent"]}
            assert person.call("POST", PATH, body).status_code == 201
        for _ in range(3):
            charge(person, 1)
    charlie = Person(workers.app).open_account("charlie@example.com")
    body = {"url": receiver.url, "events": ["credits.low"]}
    endpoint = charlie.call("POST", PATH, body).json
    receiver.secret = endpoint["secret"]
    workers.start()
    slow.wait_for(16, 120)  # each was slow once, and is called again
    assert charlie.call("POST", f"{PATH}/{endpoint['id']}/test").status_code == 202
    receiver.wait_for(1, 10)
    slow.close()
