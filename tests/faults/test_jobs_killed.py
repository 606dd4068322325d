"""Jobs of killed workers: none is lost, and none needs an operator.

The workers are forked from a server that has imported everything and started nothing, because two
dozen of them would otherwise spend half a minute importing.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from creditapp import jobs
from creditapp.jobs import registry
from creditapp.jobs.engine import JobStore
from creditapp.services import get
from tests.faults.jobs_worker import new_app, read_facts, register, work
from tests.processes import forked

pytestmark = pytest.mark.in_turn
RECOVERED_WITHIN_SECONDS = 10.0

_killed = Counter[str]()


@pytest.fixture(scope="module", autouse=True)
def _report_kills() -> Iterator[None]:
    yield
    print(f"\nworkers killed by SIGKILL: {_killed.total()} {dict(_killed)}")


class Workshop:
    """One store, the test's own app that only enqueues, and the worker processes."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.data_dir = folder / "data"
        self.facts_file = folder / "facts"
        self.children: list[ForkServerProcess] = []
        register(self.facts_file)
        self.app: Flask = new_app(database_url, self.data_dir)

    def start_worker(self, *options: str) -> ForkServerProcess:
        child = forked.Process(
            target=work, args=(self.database_url, self.data_dir, self.facts_file, options)
        )
        child.start()
        self.children.append(child)
        return child

    def kill(self, child: ForkServerProcess, why: str) -> float:
        """Kill a child, check that SIGKILL ended it, and return when."""
        child.kill()
        at = time.time()
        self.await_killed(child, why)
        return at

    def await_killed(self, child: ForkServerProcess, why: str) -> None:
        assert exit_code(child) == -signal.SIGKILL
        _killed[why] += 1

    def enqueue(self, name: str, row_id: str, partition: str | None = None) -> None:
        with self.app.app_context():
            assert jobs.enqueue(f"test.{name}", row_id, partition=partition)

    def facts(self, did: str, row_id: str | None = None) -> list[dict[str, Any]]:
        return [
            fact
            for fact in read_facts(self.facts_file)
            if fact["did"] == did and row_id in (None, fact.get("id"))
        ]

    def has_running_job(self) -> bool:
        """Whether a job has begun and not ended at this moment."""
        last = Counter(fact["did"].rsplit(" ")[-1] for fact in read_facts(self.facts_file))
        return last["begun"] > last["ended"]

    def open_gate(self) -> None:
        self.facts_file.with_name("gate").touch()

    def health(self) -> jobs.Health:
        with self.app.app_context():
            return jobs.health()

    def await_until(self, condition: Callable[[], object], seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s; facts: {read_facts(self.facts_file)[-20:]}")
            time.sleep(0.02)

    def await_ended(self, name: str, more: int) -> None:
        before = len(self.facts(f"{name} ended"))
        self.await_until(lambda: len(self.facts(f"{name} ended")) >= before + more)

    def await_idle(self) -> None:
        """Wait also for jobs that run a second time because only their end was not recorded."""

        def idle() -> bool:
            health = self.health()
            return health.waiting == health.running == 0

        self.await_until(idle)

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.join()
        with self.app.app_context():
            get(JobStore).records.engine.dispose()


def exit_code(child: ForkServerProcess) -> int | None:
    """Return a child's exit code: 0, or the negative signal."""
    child.join(timeout=60)
    return child.exitcode


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    before = dict(registry.handlers)
    workshop = Workshop(database_url, tmp_path)
    yield workshop
    workshop.close()
    registry.handlers.clear()
    registry.handlers.update(before)


def test_a_job_of_a_killed_worker_ends_on_the_restarted_one(workshop: Workshop) -> None:
    first = workshop.start_worker()
    workshop.enqueue("gated", "a", partition="vendor/alice")
    workshop.enqueue("gated", "b", partition="vendor/alice")
    workshop.await_until(lambda: len(workshop.facts("gated begun")) == 2)
    for number in range(5):
        workshop.enqueue("quick", f"{number}", partition="vendor/alice")
    workshop.kill(first, "in the middle, restarted")
    assert workshop.facts("gated ended") == []
    assert workshop.facts("quick begun") == [], "the partition was full: these must still be queued"

    workshop.open_gate()
    restarted_at = time.time()
    second = workshop.start_worker()
    workshop.await_until(lambda: len(workshop.facts("quick ended")) == 5)
    workshop.await_until(lambda: len(workshop.facts("gated ended")) == 2)

    resumed = workshop.facts("gated begun")[2:]
    assert Counter(fact["id"] for fact in resumed) == {"a": 1, "b": 1}
    assert {fact["pid"] for fact in resumed} == {second.pid}
    print(f"\nresumed {min(f['at'] for f in resumed) - restarted_at:.2f} s after the restart began")
    workshop.await_idle()


def test_a_job_of_a_killed_worker_ends_on_a_live_one(workshop: Workshop) -> None:
    first = workshop.start_worker()
    workshop.enqueue("gated", "a")
    workshop.await_until(lambda: workshop.facts("gated begun"))
    second = workshop.start_worker()
    workshop.await_until(lambda: workshop.health().workers == 2)
    killed_at = workshop.kill(first, "in the middle, peer alive")
    workshop.open_gate()

    workshop.await_until(lambda: len(workshop.facts("gated begun")) == 2)
    recovered = workshop.facts("gated begun")[1]
    assert recovered["pid"] == second.pid
    assert recovered["at"] - killed_at < RECOVERED_WITHIN_SECONDS
    workshop.await_until(lambda: workshop.facts("gated ended"))
    ended = workshop.facts("gated ended")
    assert [fact["pid"] for fact in ended] == [second.pid]
    print(f"\nrecovered {recovered['at'] - killed_at:.2f} s after the kill")


def test_every_job_ends_although_workers_are_killed_repeatedly(workshop: Workshop) -> None:
    row_ids = {f"job-{number}" for number in range(24)}
    for number, row_id in enumerate(sorted(row_ids)):
        workshop.enqueue("short", row_id, partition=f"vendor/user{number % 5}")
    for _ in range(2):
        child = workshop.start_worker()
        workshop.await_ended("short", 4)
        workshop.await_until(workshop.has_running_job)
        workshop.kill(child, "again and again")
    assert len(workshop.facts("short ended")) < len(row_ids), (
        "the kills came too late to prove much"
    )

    workshop.start_worker()
    workshop.await_until(
        lambda: {fact["id"] for fact in workshop.facts("short ended")} == row_ids, seconds=30
    )
    workshop.await_idle()
    assert workshop.health().dead_letters == 0
    assert len(workshop.facts("short begun")) > len(row_ids), "no kill hit a running job"


@pytest.mark.databases("sqlite")
def test_a_job_that_kills_its_workers_fails_for_good(workshop: Workshop) -> None:
    workshop.enqueue("bomb", "boom")
    for _ in range(2):
        child = workshop.start_worker("brittle")
        workshop.await_killed(child, "by its own job")
    survivor = workshop.start_worker("brittle")
    workshop.await_until(lambda: workshop.health().dead_letters == 1)

    assert len(workshop.facts("bomb begun")) == 2
    workshop.enqueue("quick", "after")
    workshop.await_until(lambda: workshop.facts("quick ended", "after"))
    assert survivor.is_alive()


def test_a_stopped_worker_lets_its_job_end(workshop: Workshop) -> None:
    child = workshop.start_worker()
    workshop.enqueue("gated", "a")
    workshop.await_until(lambda: workshop.facts("gated begun"))
    child.terminate()
    time.sleep(0.3)
    assert child.is_alive(), "the worker waits for its job"
    workshop.open_gate()
    assert exit_code(child) == 0
    assert len(workshop.facts("gated ended")) == 1
    assert workshop.health() == jobs.Health(False, 0, None, 0, 0, 0.0, 0)


@pytest.mark.databases("postgresql")
def test_a_tick_runs_once_with_several_workers(workshop: Workshop) -> None:
    workers = [workshop.start_worker("ticking"), workshop.start_worker("ticking")]
    workshop.await_until(lambda: workshop.health().workers == 2)
    began_at = time.time()
    workshop.await_until(lambda: time.time() > began_at + 4, seconds=10)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        assert exit_code(worker) == 0

    ticks = workshop.facts("tick")
    with workshop.app.app_context(), get(JobStore).records.engine.connect() as connection:
        due = [
            row.workflow_uuid
            for row in connection.execute(
                text(
                    "SELECT workflow_uuid, status FROM dbos.workflow_status"
                    " WHERE schedule_name = 'test.tick' ORDER BY 1"
                )
            )
            if row.status == "SUCCESS"
        ]
    assert len(ticks) == len(due) == len(set(due)), "a tick ran twice or was skipped"
    assert len(ticks) >= 3
    print(f"\n{len(ticks)} ticks by {len({tick['pid'] for tick in ticks})} workers")


@pytest.mark.databases("postgresql")
def test_a_worker_whose_session_is_closed_acquires_its_lock_again(workshop: Workshop) -> None:
    worker = workshop.start_worker()
    workshop.await_until(lambda: workshop.health().workers == 1)

    def sessions(expression: str) -> list[int]:
        with workshop.app.app_context(), get(JobStore).records.engine.connect() as connection:
            where = "datname = current_database() AND application_name LIKE 'creditapp worker %'"
            return list(
                connection.scalars(text(f"SELECT {expression} FROM pg_stat_activity WHERE {where}"))
            )

    before = sessions("pid")
    assert sessions("pg_terminate_backend(pid)") == [True]
    workshop.await_until(lambda: len(sessions("pid")) == 1 and sessions("pid") != before, 6)
    workshop.await_until(lambda: workshop.health().alive)
    workshop.enqueue("quick", "after")
    workshop.await_until(lambda: workshop.facts("quick ended", "after"))
    assert worker.is_alive()
