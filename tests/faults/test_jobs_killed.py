"""Worker processes are killed without warning; no job is lost, and none waits for a person.

The workers are forked from a server that has imported everything and started nothing, because two
dozen of them would otherwise spend half a minute importing.
"""

from __future__ import annotations

import multiprocessing
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

TAKEN_OVER_WITHIN_SECONDS = 10.0

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["pytest", "dbos", "tests.faults.jobs_worker"])
_killed = Counter[str]()


@pytest.fixture(scope="module", autouse=True)
def _count_the_killed() -> Iterator[None]:
    yield
    print(f"\nworkers killed by SIGKILL: {_killed.total()} {dict(_killed)}")


class Workshop:
    """One store, the test's own app that only asks, and the children that work."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.data_dir = folder / "data"
        self.facts_file = folder / "facts"
        self.children: list[ForkServerProcess] = []
        register(self.facts_file)
        self.app: Flask = new_app(database_url, self.data_dir)

    def hire(self, *manners: str) -> ForkServerProcess:
        child = _processes.Process(
            target=work, args=(self.database_url, self.data_dir, self.facts_file, manners)
        )
        child.start()
        self.children.append(child)
        return child

    def kill(self, child: ForkServerProcess, why: str) -> float:
        """Kill a child and prove that nothing gentler ended it; return when."""
        child.kill()
        at = time.time()
        self.await_killed(child, why)
        return at

    def await_killed(self, child: ForkServerProcess, why: str) -> None:
        assert ended(child) == -signal.SIGKILL
        _killed[why] += 1

    def ask(self, name: str, row_id: str, lane: str | None = None) -> None:
        with self.app.app_context():
            assert jobs.enqueue(f"test.{name}", row_id, lane=lane)

    def facts(self, did: str, row_id: str | None = None) -> list[dict[str, Any]]:
        return [
            fact
            for fact in read_facts(self.facts_file)
            if fact["did"] == did and row_id in (None, fact.get("id"))
        ]

    def at_work(self) -> bool:
        """Tell whether a job has begun and not ended at this moment."""
        last = Counter(fact["did"].rsplit(" ")[-1] for fact in read_facts(self.facts_file))
        return last["begun"] > last["ended"]

    def open_gate(self) -> None:
        self.facts_file.with_name("gate").touch()

    def health(self) -> jobs.Health:
        with self.app.app_context():
            return jobs.health()

    def await_until(self, true: Callable[[], object], seconds: float = 20.0) -> None:
        give_up_at = time.monotonic() + seconds
        while not true():
            if time.monotonic() > give_up_at:
                pytest.fail(f"not within {seconds} s; facts: {read_facts(self.facts_file)[-20:]}")
            time.sleep(0.02)

    def await_ended(self, name: str, more: int) -> None:
        before = len(self.facts(f"{name} ended"))
        self.await_until(lambda: len(self.facts(f"{name} ended")) >= before + more)

    def await_idle(self) -> None:
        """Wait out also what runs a second time because only its end was not written down."""

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


def ended(child: ForkServerProcess) -> int | None:
    """Return how a child ended: 0, or the signal with a minus."""
    child.join(timeout=20)
    return child.exitcode


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    before = dict(registry.handlers)
    workshop = Workshop(database_url, tmp_path)
    yield workshop
    workshop.close()
    registry.handlers.clear()
    registry.handlers.update(before)


def test_a_worker_killed_in_the_middle_of_a_job_is_replaced_and_the_job_ends(
    workshop: Workshop,
) -> None:
    first = workshop.hire()
    workshop.ask("gated", "a", lane="vendor/alice")
    workshop.ask("gated", "b", lane="vendor/alice")
    workshop.await_until(lambda: len(workshop.facts("gated begun")) == 2)
    for number in range(5):
        workshop.ask("quick", f"{number}", lane="vendor/alice")
    workshop.kill(first, "in the middle, restarted")
    assert workshop.facts("gated ended") == []
    assert workshop.facts("quick begun") == [], "the lane was full: these must still be queued"

    workshop.open_gate()
    restarted_at = time.time()
    second = workshop.hire()
    workshop.await_until(lambda: len(workshop.facts("quick ended")) == 5)
    workshop.await_until(lambda: len(workshop.facts("gated ended")) == 2)

    resumed = workshop.facts("gated begun")[2:]
    assert Counter(fact["id"] for fact in resumed) == {"a": 1, "b": 1}
    assert {fact["pid"] for fact in resumed} == {second.pid}
    print(f"\nresumed {min(f['at'] for f in resumed) - restarted_at:.2f} s after the restart began")
    workshop.await_idle()


def test_a_dead_workers_job_ends_on_the_one_that_lives(workshop: Workshop) -> None:
    first = workshop.hire()
    workshop.ask("gated", "a")
    workshop.await_until(lambda: workshop.facts("gated begun"))
    second = workshop.hire()
    workshop.await_until(lambda: workshop.health().workers == 2)
    killed_at = workshop.kill(first, "in the middle, peer alive")
    workshop.open_gate()

    workshop.await_until(lambda: len(workshop.facts("gated begun")) == 2)
    taken = workshop.facts("gated begun")[1]
    assert taken["pid"] == second.pid
    assert taken["at"] - killed_at < TAKEN_OVER_WITHIN_SECONDS
    workshop.await_until(lambda: workshop.facts("gated ended"))
    ended = workshop.facts("gated ended")
    assert [fact["pid"] for fact in ended] == [second.pid]
    print(f"\ntaken over {taken['at'] - killed_at:.2f} s after the kill")


def test_workers_die_again_and_again_and_every_job_ends(workshop: Workshop) -> None:
    wanted = {f"job-{number}" for number in range(24)}
    for number, row_id in enumerate(sorted(wanted)):
        workshop.ask("short", row_id, lane=f"vendor/user{number % 5}")
    for _ in range(2):
        child = workshop.hire()
        workshop.await_ended("short", 4)
        workshop.await_until(workshop.at_work)
        workshop.kill(child, "again and again")
    assert len(workshop.facts("short ended")) < len(wanted), "the kills came too late to prove much"

    workshop.hire()
    workshop.await_until(
        lambda: {fact["id"] for fact in workshop.facts("short ended")} == wanted, seconds=30
    )
    workshop.await_idle()
    assert workshop.health().dead_letters == 0
    assert len(workshop.facts("short begun")) > len(wanted), "no kill met a job at work"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_that_kills_its_workers_is_given_up(workshop: Workshop) -> None:
    workshop.ask("bomb", "boom")
    for _ in range(2):
        child = workshop.hire("brittle")
        workshop.await_killed(child, "by its own job")
    survivor = workshop.hire("brittle")
    workshop.await_until(lambda: workshop.health().dead_letters == 1)

    assert len(workshop.facts("bomb begun")) == 2
    with workshop.app.app_context():
        (letter,) = jobs.dead_letters()
    assert (letter.name, letter.row_id, letter.crashed) == ("test.bomb", "boom", True)
    workshop.ask("quick", "after")
    workshop.await_until(lambda: workshop.facts("quick ended", "after"))
    assert survivor.is_alive()


def test_a_worker_told_to_stop_lets_its_job_end(workshop: Workshop) -> None:
    child = workshop.hire()
    workshop.ask("gated", "a")
    workshop.await_until(lambda: workshop.facts("gated begun"))
    child.terminate()
    time.sleep(0.3)
    assert child.is_alive(), "it waits for its job"
    workshop.open_gate()
    assert ended(child) == 0
    assert len(workshop.facts("gated ended")) == 1
    assert workshop.health() == jobs.Health(False, 0, None, 0, 0, 0.0, 0)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_tick_comes_once_however_many_workers_there_are(workshop: Workshop) -> None:
    workers = [workshop.hire("ticking"), workshop.hire("ticking")]
    workshop.await_until(lambda: workshop.health().workers == 2)
    began_at = time.time()
    workshop.await_until(lambda: time.time() > began_at + 4, seconds=10)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        assert ended(worker) == 0

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
    assert len(ticks) == len(due) == len(set(due)), "a tick was doubled or left out"
    assert len(ticks) >= 3
    print(f"\n{len(ticks)} ticks by {len({tick['pid'] for tick in ticks})} workers")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_whose_session_is_cut_takes_its_lock_again(workshop: Workshop) -> None:
    worker = workshop.hire()
    workshop.await_until(lambda: workshop.health().workers == 1)

    def sessions(ask: str) -> list[int]:
        with workshop.app.app_context(), get(JobStore).records.engine.connect() as connection:
            where = "datname = current_database() AND application_name LIKE 'creditapp worker %'"
            return list(
                connection.scalars(text(f"SELECT {ask} FROM pg_stat_activity WHERE {where}"))
            )

    before = sessions("pid")
    assert sessions("pg_terminate_backend(pid)") == [True]
    workshop.await_until(lambda: len(sessions("pid")) == 1 and sessions("pid") != before, 6)
    workshop.await_until(lambda: workshop.health().alive)
    workshop.ask("quick", "after")
    workshop.await_until(lambda: workshop.facts("quick ended", "after"))
    assert worker.is_alive()
